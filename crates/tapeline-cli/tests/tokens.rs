//! Tokens on their way: where one may be brought, how it is renewed, what ends with it, and that it stays a secret.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "tokens/bringing.rs"]
mod bringing;
#[path = "tokens/over_http.rs"]
mod over_http;
#[path = "tokens/renewing.rs"]
mod renewing;
#[path = "tokens/secrecy.rs"]
mod secrecy;
#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use serde_json::{Value, json};
use support::people::{self, Key};
use support::{Client, Hub};

/// A hub that asks, with these lines of `[auth]` and these keys.
fn hub_with(settings: &str, keys: &[&Key]) -> Hub {
    let settings = format!("failures_per_minute = 0\n{settings}");
    Hub::with_config_and(&people::auth(&settings, keys), &["--log", "debug"])
}

fn hub() -> Hub {
    hub_with("", &[])
}

/// Ann's token: she may read her own and publish where she reads.
fn ann() -> String {
    people::token("ann", &json!({"keys": {"portfolio_id": ["p1"]}, "publish": ["trades:*", "news"]}))
}

/// Whose connection it is shows in what it may: asks for Ann's trades.
fn is_anns(client: &mut Client) -> bool {
    let answer = client.ask(&json!({"action": "subscribe", "channel": "trades:p1"}));
    answer.kind() == "subscription_confirmed"
}

fn renew(client: &mut Client, token: &str) -> Value {
    client.ask(&json!({"action": "token", "token": token, "req": "renewed"})).json
}
