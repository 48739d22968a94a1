//! What the token may and when it ends: as the hub says, and as a JWT says of itself. Nothing is verified here, and the
//! token is not printed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use tapeline_schema::ErrorCode;

use super::finding::{Findings, spell_ms};

/// Of each kind of right, so many are named.
const NAMED: usize = 5;
/// The claim with the rights.
const RIGHTS: &str = "tapeline";

/// Judges the hub's answer to the token.
pub(super) fn examine(token: &str, answer: Option<&Value>, is_open: bool, findings: &mut Findings) {
    let text = |answer: &Value, key: &str| answer[key].as_str().unwrap_or_default().to_string();
    match answer {
        None => findings.problem("the hub did not answer to the token", "see the hub's log"),
        Some(_) if is_open => findings.note(
            "the hub does not look at the token: authentication is off",
            "a hub that was given keys by a reload must be started again",
        ),
        Some(answer) if answer["type"] == "token_ok" => findings.ok(match answer["expires_at"].as_str() {
            Some(end) => format!("the hub takes the token, until {end}{}", left(end)),
            None => "the hub takes the token; it has no end".to_string(),
        }),
        Some(answer) if answer["code"] == ErrorCode::InvalidToken.name() => findings.problem(
            format!("the hub does not take the token: {}", text(answer, "message")),
            "tapeline token show says what is in it; the hub's log says more",
        ),
        Some(answer) => {
            let said = format!("the hub does not look at the token: {}", text(answer, "message"));
            findings.note(said, "is authentication on there? /health says it");
        }
    }
    findings.ok(match claims(token) {
        Some(claims) => format!("the token says of itself: {}", words(&claims)),
        None => "the token is an API key: what it may is in the hub's configuration".to_string(),
    });
}

/// ` (12 min from now)`
fn left(end: &str) -> String {
    let Ok(end) = end.parse::<jiff::Timestamp>() else { return String::new() };
    match u64::try_from(end.duration_since(jiff::Timestamp::now()).as_millis()) {
        Ok(ms) => format!(" ({} from now)", spell_ms(ms)),
        Err(_) => " (that is over)".to_string(),
    }
}

/// The second of three parts, if this is a JWT.
fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

fn words(claims: &Map<String, Value>) -> String {
    let mut parts = vec![match claims.get("sub").and_then(Value::as_str) {
        Some(subject) => format!("it is {subject}"),
        None => "it names no subject".to_string(),
    }];
    let none = Value::Null;
    let rights = claims.get(RIGHTS).unwrap_or(&none);
    for (verb, at) in [
        ("reads", "/read"),
        ("publishes on", "/publish"),
        ("reads keys", "/store/read"),
        ("writes keys", "/store/write"),
    ] {
        let patterns = rights.pointer(at).map(list).unwrap_or_default();
        if !patterns.is_empty() {
            parts.push(format!("{verb} {patterns}"));
        }
    }
    for (name, values) in rights.get("keys").and_then(Value::as_object).into_iter().flatten() {
        parts.push(format!("{name} is {}", list(values)));
    }
    for role in ["operator", "admin"] {
        if rights.get(role).and_then(Value::as_bool) == Some(true) {
            parts.push(role.to_string());
        }
    }
    if parts.len() == 1 {
        parts.push("public channels only".to_string());
    }
    // Seconds, perhaps with a fraction.
    let end = claims.get("exp").and_then(Value::as_f64);
    let end = end.and_then(|seconds| jiff::Timestamp::from_second(seconds as i64).ok());
    parts
        .push(end.map_or("it never ends".to_string(), |end| format!("ends {end}{}", left(&end.to_string()))));
    parts.join(", ")
}

fn list(values: &Value) -> String {
    let all: Vec<&str> = values.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let named = all.iter().take(NAMED).copied().collect::<Vec<_>>().join(" ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(token: &str, answer: Option<&Value>) -> String {
        let mut findings = Findings::default();
        examine(token, answer, false, &mut findings);
        findings.text(false)
    }

    fn jwt(claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({"alg": "ES256"})), part(claims))
    }

    #[test]
    fn what_a_token_may_is_told_in_words_and_the_token_is_not() {
        let rights = json!({"read": ["market_data:*", "fx.*"], "publish": ["bids:*"], "keys": {"portfolio_id": ["p1"]},
            "store": {"read": ["desk:*"], "write": []}, "operator": true, "admin": false});
        let token = jwt(&json!({"sub": "desk-7", "exp": 4_102_444_800.5, "tapeline": rights}));
        let text = told(&token, Some(&json!({"type": "token_ok", "expires_at": "2100-01-01T00:00:00Z"})));
        let expected = "it is desk-7, reads market_data:* fx.*, publishes on bids:*, reads keys desk:*, portfolio_id is p1, \
                        operator, ends 2100-01-01T00:00:00Z (";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("the hub takes the token, until 2100-01-01T00:00:00Z ("), "{text}");
        assert!(!text.contains(&token), "{text}");
    }

    #[test]
    fn a_token_that_is_refused_is_a_problem_with_the_hubs_reason() {
        let answer = json!({"type": "error", "code": "invalid_token", "message": "it has expired"});
        let text = told(&jwt(&json!({"exp": 1})), Some(&answer));
        assert!(text.starts_with("PROBLEM") && text.contains("it has expired"), "{text}");
        assert!(
            text.contains("it names no subject, public channels only, ends 1970-01-01T00:00:01Z"),
            "{text}"
        );
        let old = json!({"type": "error", "code": "unknown_action", "message": "no such action"});
        assert!(told("tk_x", Some(&old)).starts_with("note"));
        assert!(told("tk_x", None).contains("did not answer"));
    }

    #[test]
    fn an_open_hub_takes_no_token() {
        let mut findings = Findings::default();
        examine("tk_x", Some(&json!({"type": "token_ok"})), true, &mut findings);
        let text = findings.text(false);
        assert!(text.starts_with("note") && text.contains("authentication is off"), "{text}");
    }

    #[test]
    fn what_is_no_jwt_is_taken_for_an_api_key() {
        for key in ["tk_live_1_secret", "a.b", "a.!.c", "a.e30.c.d"] {
            assert!(told(key, Some(&json!({"type": "token_ok"}))).contains("an API key"), "{key}");
        }
    }
}
