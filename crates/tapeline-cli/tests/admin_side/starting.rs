//! What a hub says when it is started: who would be let in must have been said, and an open hub says that it is open.

use std::process::Command;

use serde_json::Value;

use super::support::people::{auth, key};
use super::support::{Hub, eventually, run_to_end, serve, temporary};

/// What a hub says that does not start with this configuration.
fn refused(address: &str, config: &str, words: &[&str]) -> String {
    let path = temporary("toml");
    std::fs::write(&path, config).expect("the configuration can be written");
    let mut command: Command = serve(address);
    command.arg("--config").arg(&path).args(words);
    let (status, _, err) = run_to_end(command);
    std::fs::remove_file(path).expect("it was written");
    assert_eq!(status.code(), Some(1), "{err}");
    err
}

fn health(hub: &Hub) -> Value {
    hub.get("/health").json()
}

#[test]
fn an_admin_interface_by_which_nobody_could_come_in_is_not_opened() {
    let no_admin = key("publish = [\"*\"]\noperator = true");
    for config in ["", &no_admin.toml, "auth = \"off\"\n"] {
        let told = refused("127.0.0.1:0", config, &["--admin-listen", "127.0.0.1:0"]);
        assert!(told.contains("admin.listen") && told.contains("admin = true"), "{told}");
    }
}

#[test]
fn an_admin_address_that_is_taken_is_named_with_its_own_way_out() {
    let hub = Hub::start();
    let (port, admin) = (hub.port(), key("admin = true"));
    let told = refused("127.0.0.1:0", &auth("", &[&admin]), &["--admin-listen", hub.address()]);
    let other = port.wrapping_add(1);
    let expected = format!("address in use: 127.0.0.1:{port}; try --admin-listen 127.0.0.1:{other}");
    assert!(told.contains(&expected), "{told}");
}

#[test]
fn a_hub_that_others_can_reach_is_not_started_without_saying_who_is_let_in() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let told = refused(address, "", &[]);
        assert!(told.contains("[[auth.key]]") && told.contains("auth = \"off\""), "{told}");
    }
    let told = refused("127.0.0.1:0", "[auth]\nmode = \"on\"\n", &[]);
    assert!(told.contains("nobody could be let in"), "{told}");
}

#[test]
fn a_hub_that_is_open_on_purpose_says_so_wherever_one_looks() {
    let hub = Hub::with_config_and("auth = \"off\"\n", &["--listen", "0.0.0.0:0"]);
    assert!(eventually(|| hub.log().contains("authentication is off")), "{}", hub.log());
    assert_eq!(health(&hub)["authentication"], "off");
    hub.publish(
        "trades:p1",
        r#"{"portfolio_id":"p1","symbol":"A","trade_type":"BUY","quantity":1,"price":1}"#,
    );
    let asks = Hub::with_config(&auth("", &[]));
    assert_eq!(health(&asks)["authentication"], "on");
    assert_eq!(asks.get("/stats").status(), 401);
}
