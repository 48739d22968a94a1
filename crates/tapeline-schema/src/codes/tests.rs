//! That the tables of codes are what the contract says and contradict themselves nowhere.
//!
//! Owns a second copy of the contract's numbers. Refuses to know where codes are used.

use std::collections::HashSet;

use super::*;

#[test]
fn every_error_code_is_unique_and_speaks_snake_case() {
    let names: HashSet<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(names.len(), ErrorCode::ALL.len());
    for code in ErrorCode::ALL {
        let words = code.name().chars().all(|character| character.is_ascii_lowercase() || character == '_');
        assert!(words, "{code}");
        assert!(!code.meaning().is_empty(), "{code}");
        let meanings = ErrorCode::ALL.iter().filter(|other| other.meaning() == code.meaning());
        assert_eq!(meanings.count(), 1, "{code}");
    }
}

#[test]
fn error_codes_have_the_status_that_the_contract_gives_them() {
    let contract = [
        (400, "bad_json bad_channel invalid_data"),
        (401, "invalid_token"),
        (403, "forbidden"),
        (404, "no_value no_history"),
        (413, "too_large"),
        (415, "unsupported_media_type"),
        (429, "rate_limited"),
        (503, "degraded overloaded storage_full"),
    ];
    for (status, names) in contract {
        for name in names.split(' ') {
            let code = ErrorCode::ALL.iter().find(|code| code.name() == name);
            assert_eq!(code.map(|code| code.status()), Some(status), "{name}");
        }
    }
}

#[test]
fn a_code_of_the_servers_side_is_worth_a_retry_and_a_bad_request_is_not() {
    for code in ErrorCode::ALL {
        match code.status() {
            500.. => assert_eq!(code.retry(), Retry::Later, "{code}"),
            400 | 413 | 415 => assert_eq!(code.retry(), Retry::Never, "{code}"),
            _ => {}
        }
    }
}

#[test]
fn codes_and_retry_rules_are_written_under_their_names() {
    for code in ErrorCode::ALL {
        let json = serde_json::to_string(code).unwrap();
        assert_eq!(json, format!("\"{}\"", code.name()));
        assert_eq!(serde_json::from_str::<ErrorCode>(&json).unwrap(), *code);
    }
    for retry in [Retry::Never, Retry::Later, Retry::Reconnect] {
        assert_eq!(serde_json::to_string(&retry).unwrap(), format!("\"{}\"", retry.name()));
    }
}

#[test]
fn close_codes_have_the_numbers_and_retry_rules_of_the_contract() {
    let contract = [
        (1000, "normal", Retry::Never),
        (1001, "going_away", Retry::Reconnect),
        (1002, "protocol", Retry::Never),
        (1007, "invalid_payload", Retry::Never),
        (1008, "policy", Retry::Later),
        (1009, "too_big", Retry::Never),
        (1011, "internal", Retry::Later),
        (1012, "restart", Retry::Reconnect),
        (1013, "overloaded", Retry::Later),
        (4001, "token_expired", Retry::Reconnect),
        (4002, "slow", Retry::Reconnect),
        (4003, "revoked", Retry::Never),
    ];
    let ours: Vec<_> = CloseCode::ALL.iter().map(|code| (code.number(), code.name(), code.retry())).collect();
    assert_eq!(ours, contract);
}

#[test]
fn a_close_code_is_found_by_its_number() {
    for code in CloseCode::ALL {
        assert_eq!(CloseCode::from_number(code.number()), Some(*code));
    }
    assert_eq!(CloseCode::from_number(1005), None);
    assert_eq!(CloseCode::TokenExpired.to_string(), "4001 token_expired");
}
