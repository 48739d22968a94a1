//! Nothing of a token or of a key stands where somebody may read it: not in the log at its most talkative, not in the
//! audit log, not in what operators see.

use serde_json::json;

use super::renew;
use super::support::people::{OTHER_SECRET, SECRET, auth, bearer, claims, key, signed, token};
use super::support::raw::handshake;
use super::support::{Client, Hub, Raw, eventually, temporary};

/// The parts of a credential of which none may be seen: all but what every token begins with.
fn parts(credential: &str) -> Vec<String> {
    let parts = credential.split(['.', '_']).filter(|part| part.len() > 12);
    parts.map(|part| part.to_string()).filter(|part| !credential.starts_with(part.as_str())).collect()
}

/// Brings it everywhere, whether it is believed or not.
fn bring(hub: &Hub, credential: &str) {
    let as_protocol = format!("Sec-WebSocket-Protocol: tapeline.v1, auth.{credential}\r\n");
    let in_query = format!("/ws/desk?token={credential}");
    for (path, more) in [("/ws", bearer(credential)), ("/ws", as_protocol), (&*in_query, String::new())] {
        let mut raw = Raw::send_to(hub, handshake(hub, path, &more));
        assert!(matches!(raw.head().status, 101 | 401), "{path}");
    }
    let mut client = Client::connect(hub);
    assert_eq!(renew(&mut client, credential)["req"], "renewed");
    for path in ["/last/trades:p9", "/stats", "/history/news"] {
        hub.request("GET", path, &bearer(credential), "");
        hub.request("GET", &format!("{path}?token={credential}"), "", "");
    }
    hub.request("POST", "/publish", &bearer(credential), r#"{"channel":"trades:p9","data":{}}"#);
    hub.request("POST", "/admin/reload", &bearer(credential), "");
    hub.request("GET", &format!("/no/such/{credential}"), &bearer(credential), "");
}

#[test]
fn no_part_of_a_token_is_in_the_log_nor_in_the_audit_log() {
    let (audit, known) = (temporary("audit"), key("publish = [\"news\"]"));
    let unknown = key("");
    let config =
        format!("[audit]\nfile = \"{}\"\n{}", audit.display(), auth("failures_per_minute = 0", &[&known]));
    let hub = Hub::with_config_and(&config, &["--log", "trace"]);
    let all = json!({"read": ["*"], "operator": true});
    let mut credentials = vec![
        token("ann", &json!({})),
        signed(SECRET, &claims("ann", &all, -60)),
        signed(OTHER_SECRET, &claims("ann", &all, 60)),
        known.text,
        unknown.text,
        format!("tk_{}", "z".repeat(40)),
    ];
    let operator = token("oscar", &all);
    credentials.push(operator.clone());
    credentials.iter().for_each(|credential| bring(&hub, credential));
    let written = || std::fs::read_to_string(&audit).expect("there is an audit log");
    assert!(eventually(|| written().contains("\"who\":\"ann\"")), "{}", written());
    let seen = ["/incidents?limit=1000", "/inspect", "/stats", "/metrics", "/dead-letters"]
        .map(|path| hub.request("GET", path, &bearer(&operator), "").text().to_string());
    let log = hub.log();
    assert!(log.contains("a credential was refused"), "the log is talkative: {log}");
    let mut texts = vec![log, written()];
    texts.extend(seen);
    for part in credentials.iter().flat_map(|credential| parts(credential)) {
        for text in &texts {
            let line = text.lines().find(|line| line.contains(&part));
            assert!(line.is_none(), "{part} is in {line:?}");
        }
    }
    for text in &texts {
        assert!(!text.contains(SECRET), "the secret is in {text}");
    }
    std::fs::remove_file(audit).expect("it was written");
}
