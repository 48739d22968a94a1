//! Tests of what holds for every setting, and of the page about them.

use super::table::ROWS;
use super::value::Given;
use super::*;

#[test]
fn the_page_of_all_settings_is_what_the_program_would_write_today() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(page == reference(), "stale; run `tapeline config reference > docs/configuration.md`");
}

#[test]
fn every_default_can_be_given_again_in_the_file_and_means_the_same() {
    for row in ROWS {
        let defaults = Config::default();
        let shown = row.show(&defaults);
        let table: toml::Table = toml::from_str(&format!("value = {shown}")).unwrap();
        let mut config = Config::default();
        row.set(&mut config, Given::Toml(&table["value"])).unwrap();
        assert!(row.is_same(&config, &defaults), "{} = {shown}", row.name);
        assert!(!row.doc.is_empty() && row.doc.ends_with(['.', ';', '/']), "{}: {}", row.name, row.doc);
    }
}

#[test]
fn no_two_settings_share_a_name_or_a_variable() {
    let mut names: Vec<String> = ROWS.iter().map(|row| row.variable()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), ROWS.len());
    assert!(names.contains(&"TAPELINE_LIMITS__FRAME_BYTES".to_string()), "{names:?}");
}

#[test]
fn a_variable_of_somebody_else_is_let_be_and_a_slip_is_not() {
    let load = |name: &str, value: &str| {
        let variables = vec![(name.to_string(), value.to_string())];
        Layers { variables, ..Layers::default() }.load()
    };
    for foreign in ["TAPELINE_PORT", "TAPELINE_PORT_8000_TCP_ADDR", "TAPELINE_URL", "TAPELINE_DATA"] {
        assert!(load(foreign, "tcp://10.0.0.1:8000").is_ok(), "{foreign}");
    }
    for slip in ["TAPELINE_LIMITS__FRAME_BYTE", "TAPELINE_STRICT_CHANNEL"] {
        let told = load(slip, "1").unwrap_err().to_string();
        assert!(told.contains(slip) && told.contains("did you mean TAPELINE_"), "{told}");
    }
    assert_eq!(load("TAPELINE_SERVE__LISTEN", "127.0.0.1:1, [::1]:2").unwrap().config.serve.listen.len(), 2);
}

#[test]
fn what_a_connection_is_made_with_counts_for_new_ones_and_what_a_request_asks_for_counts_at_once() {
    let when = |name: &str| ROWS.iter().find(|row| row.name == name).map(|row| row.when);
    for made_with in
        ["publish_bytes", "frame_bytes", "frame_fragments", "header_bytes", "handshake_timeout_s"]
    {
        assert_eq!(when(&format!("limits.{made_with}")), Some(When::Connection), "{made_with}");
    }
    for asked_for in ["body_timeout_s", "batch_bytes", "batch_items"] {
        assert_eq!(when(&format!("limits.{asked_for}")), Some(When::Reload), "{asked_for}");
    }
}

#[test]
fn a_password_is_masked_wherever_a_value_is_shown() {
    let mut config = Config::default();
    config.serve.broker = "redis://bob:hunter2@redis.local:6379/0".to_string();
    let row = ROWS.iter().find(|row| row.name == "serve.broker").unwrap();
    assert_eq!(row.show(&config), "\"redis://bob:***@redis.local:6379/0\"");
    config.feed.urls = vec!["wss://ann:secret@a.example/v2".to_string(), "tcp://b:1".to_string()];
    let row = ROWS.iter().find(|row| row.name == "feed.urls").unwrap();
    assert_eq!(row.show(&config), "[\"wss://ann:***@a.example/v2\", \"tcp://b:1\"]");
}

#[test]
fn an_origin_is_what_a_browser_sends() {
    let row = ROWS.iter().find(|row| row.name == "http.allowed_origins").unwrap();
    let check = |text: &str| row.set(&mut Config::default(), Given::Text(text));
    for good in ["https://desk.example", "http://10.0.0.1:3000", "https://[::1]:8443", "tauri://localhost"] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in [
        "https://desk.example/",
        "https://desk.example/app",
        "https://Desk.example",
        "HTTPS://desk.example",
        "https://*.desk.example",
        "https://desk.example:443",
        "http://desk.example:80",
        "desk.example",
        "https://",
        "https://user@desk.example",
        "null",
        "*",
    ] {
        assert!(check(bad).is_err_and(|told| told.contains(bad) && told.contains("is no origin")), "{bad}");
    }
}

#[test]
fn a_secret_of_another_kind_is_not_repeated_by_the_error() {
    let row = ROWS.iter().find(|row| row.name == "auth.jwt.secret").unwrap();
    let table: toml::Table = toml::from_str("value = 7389056098930650").unwrap();
    let told = row.set(&mut Config::default(), Given::Toml(&table["value"])).unwrap_err();
    assert!(told.contains("auth.jwt.secret: expected") && !told.contains("7389"), "{told}");
}
