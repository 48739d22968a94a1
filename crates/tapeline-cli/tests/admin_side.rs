//! The admin interface that listens apart, its audit log, and what a hub refuses to be started as.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "admin_side/losing_keys.rs"]
mod losing_keys;
#[path = "admin_side/reloading.rs"]
mod reloading;
#[path = "admin_side/starting.rs"]
mod starting;
#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::people::{Key, auth, bearer, key, token};
use support::raw::handshake;
use support::{Client, Hub, Raw, eventually, temporary};

const APART: &[&str] = &["--admin-listen", "127.0.0.1:0"];

/// What an administrator may ask.
const ADMIN: [(&str, &str); 7] = [
    ("POST", "/admin/reload"),
    ("GET", "/admin/revocations"),
    ("POST", "/admin/revocations"),
    ("POST", "/admin/channels"),
    ("DELETE", "/admin/channels/nothing"),
    ("POST", "/admin/dead-letters/redrive"),
    ("GET", "/admin/data/usage"),
];

/// A hub whose admin interface listens apart, the keys that it knows, and its audit log.
struct World {
    hub: Hub,
    admin: Key,
    user: Key,
    audit: PathBuf,
}

impl World {
    fn start() -> World {
        let admin = key("admin = true");
        let user = key("publish = [\"*\"]\noperator = true");
        let audit = temporary("audit");
        let config = format!(
            "[audit]\nfile = \"{}\"\n{}",
            audit.display(),
            auth("failures_per_minute = 0", &[&admin, &user])
        );
        World { hub: Hub::with_config_and(&config, APART), admin, user, audit }
    }

    fn audited(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.audit).expect("there is an audit log");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    /// Waits for a line with these fields.
    fn waits_for(&self, line: Value) {
        let wanted = line.as_object().expect("an object");
        let is_there = |lines: Vec<Value>| {
            lines.iter().any(|line| wanted.iter().all(|(name, value)| line[name] == *value))
        };
        assert!(eventually(|| is_there(self.audited())), "{line} is not among {:?}", self.audited());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.audit);
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn the_hub_is_changed_on_the_admin_side_by_administrators_and_in_no_other_way() {
    let world = World::start();
    let (admin, user) = (bearer(&world.admin.text), bearer(&world.user.text));
    let all = json!({"read": ["*"], "publish": ["*"], "operator": true});
    let operator = bearer(&token("oscar", &all));
    let ada = bearer(&token("ada", &json!({"admin": true})));
    for (method, path) in ADMIN {
        for who in ["", &admin, &ada, &user, &operator] {
            let answer = world.hub.request(method, path, who, "{}");
            assert_eq!(
                answer.refusal(),
                (404, "not_found".to_string()),
                "{method} {path} on the public side"
            );
        }
        for (who, status) in
            [("", 401), ("Authorization: Bearer garbage\r\n", 401), (&*user, 403), (&*operator, 403)]
        {
            let answer = world.hub.admin(method, path, who, "{}");
            assert_eq!(answer.status(), status, "{method} {path} by {who:?}: {}", answer.text());
        }
        for who in [&admin, &ada] {
            let answer = world.hub.admin(method, path, who, "{}");
            assert!(!matches!(answer.status(), 401 | 403), "{method} {path}: {}", answer.text());
        }
    }
}

#[test]
fn the_admin_side_shows_the_inside_to_administrators_alone() {
    let world = World::start();
    let (admin, user) = (bearer(&world.admin.text), bearer(&world.user.text));
    for path in ["/stats", "/metrics", "/incidents", "/presence/news", "/channels"] {
        assert_eq!(world.hub.admin("GET", path, &admin, "").status(), 200, "{path}");
        assert_eq!(world.hub.admin("GET", path, "", "").status(), 401, "{path}");
        assert_eq!(world.hub.admin("GET", path, &user, "").status(), 403, "{path}: it may look elsewhere");
    }
    for path in ["/health", "/ready"] {
        assert_eq!(world.hub.admin("GET", path, "", "").status(), 200, "{path}");
    }
    let socket = |who: &str| {
        let request = handshake(&world.hub, "/ws", who);
        Raw::send_at(world.hub.admin_address(), request).head().status
    };
    assert_eq!((socket(""), socket(&user)), (401, 403), "nobody gets in this way to say later who it is");
    assert_eq!(world.hub.request("GET", "/stats", &user, "").status(), 200);
    assert_eq!(world.hub.request("GET", "/stats", &admin, "").status(), 200, "an administrator may look");
}

#[test]
fn who_was_refused_what_and_who_changed_the_hub_is_in_the_audit_log() {
    let world = World::start();
    let (admin, ann) = (bearer(&world.admin.text), bearer(&token("ann", &json!({}))));
    assert_eq!(mode(&world.audit), 0o600, "it is its owner's alone");
    let family = r#"{"template":"fx:{pair}","type":"fx_rate"}"#;
    assert_eq!(world.hub.admin("POST", "/admin/channels", &admin, family).status(), 200);
    world.waits_for(json!({
        "event": "administered", "who": world.admin.subject, "address": "127.0.0.1",
        "about": "POST /admin/channels", "result": "200"
    }));
    assert_eq!(world.hub.admin("DELETE", "/admin/channels/none", &admin, "").status(), 404);
    world.waits_for(
        json!({"who": world.admin.subject, "about": "DELETE /admin/channels/none", "result": "404"}),
    );
    assert_eq!(world.hub.admin("POST", "/admin/reload", "", "").status(), 401);
    world.waits_for(json!({"who": "127.0.0.1", "result": "invalid_token"}));
    assert_eq!(world.hub.request("GET", "/last/trades:p1", &ann, "").status(), 403);
    world.waits_for(json!({"who": "ann", "about": "trades:p1", "result": "forbidden"}));
    let publish = r#"{"channel":"news","data":{}}"#;
    assert_eq!(world.hub.request("POST", "/publish", &ann, publish).status(), 403);
    world.waits_for(json!({"who": "ann", "about": "news", "result": "forbidden"}));
    assert_eq!(world.hub.request("GET", "/store/desk:a", &ann, "").status(), 403);
    world.waits_for(json!({"who": "ann", "about": "desk:a", "result": "forbidden"}));
    assert_eq!(world.hub.request("GET", "/stats", &ann, "").status(), 403);
    world.waits_for(json!({"who": "ann", "result": "forbidden", "event": "connection_refused"}));
    let mut client = Client::connect_with(&world.hub, "/ws/desk", &ann);
    for (request, about) in [
        (json!({"action": "subscribe", "channel": "alerts:risk"}), "alerts:risk"),
        (json!({"action": "history", "channel": "alerts:old"}), "alerts:old"),
        (json!({"action": "subscribe", "channel": "executions:a1"}), "executions:a1"),
        (json!({"action": "publish", "channel": "social", "data": {}, "req": 1}), "social"),
    ] {
        assert_eq!(client.ask(&request).json["code"], "forbidden");
        world.waits_for(json!({"about": about, "result": "forbidden"}));
    }
    for line in world.audited() {
        assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    }
}

#[test]
fn a_revoked_subject_is_closed_at_once_and_for_good() {
    let world = World::start();
    let ann = bearer(&token("ann", &json!({})));
    let mut client = Client::connect_with(&world.hub, "/ws", &ann);
    let mut bob = Client::connect_with(&world.hub, "/ws", &bearer(&token("bob", &json!({}))));
    client.subscribe("news");
    bob.subscribe("news");
    let admin = bearer(&world.admin.text);
    let answer = world.hub.admin("POST", "/admin/revocations", &admin, r#"{"subject":"ann"}"#);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(client.closed().code, 4003);
    assert_eq!(world.hub.request("GET", "/last/news", &ann, "").status(), 401);
    assert_eq!(Raw::send_to(&world.hub, handshake(&world.hub, "/ws", &ann)).head().status, 401);
    bob.expect_to_stay();
    let listed = world.hub.admin("GET", "/admin/revocations", &admin, "").json();
    assert_eq!(listed["revocations"][0]["subject"], "ann", "{listed}");
}
