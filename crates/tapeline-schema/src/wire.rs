//! Words of the native protocol that others must keep clear of, and the rates it offers.
//!
//! Owns the reserved frame types and header fields and the steps of `max_rate`.
//! Refuses to know how frames are read or written; that is the gateway's.

/// The types of frames that the server itself sends, the last two in event streams; publishing them is refused with
/// `reserved_type`.
pub const RESERVED_TYPES: &[&str] = &[
    "subscription_confirmed",
    "unsubscription_confirmed",
    "gap",
    "notice",
    "reconnect",
    "published",
    "last",
    "token_ok",
    "token_expiring",
    "subscriptions",
    "history",
    "pong",
    "heartbeat",
    "error",
    "refusal",
    "closed",
];

/// Fields of a message frame's header; a family's key appears beside them and may not take their names.
pub const RESERVED_FIELDS: &[&str] = &[
    "type",
    "channel",
    "data",
    "timestamp",
    "id",
    "req",
    "correlation_id",
    "offset",
    "epoch",
    "owner",
    "rollup",
];

/// The rates a subscriber can have, per second: few, so that one merged frame serves a whole rate group.
pub const RATE_STEPS: [u32; 7] = [1, 2, 5, 10, 20, 50, 100];

/// Whether a `type` belongs to the server's own frames.
pub fn is_reserved_type(kind: &str) -> bool {
    RESERVED_TYPES.contains(&kind)
}

/// Whether a field name belongs to the header of a message frame.
pub fn is_reserved_field(field: &str) -> bool {
    RESERVED_FIELDS.contains(&field)
}

/// A wished rate rounded down to a step of [`RATE_STEPS`]; below 1 there is none, above 100 it is 100.
pub fn round_rate(per_second: f64) -> Option<u32> {
    RATE_STEPS.into_iter().rev().find(|step| f64::from(*step) <= per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_round_down_to_a_step() {
        let cases = [(1.0, 1), (1.9, 1), (2.0, 2), (4.9, 2), (5.0, 5), (9.0, 5), (10.0, 10), (19.9, 10)];
        for (wish, step) in cases {
            assert_eq!(round_rate(wish), Some(step), "{wish}");
        }
        for (wish, step) in [(20.0, 20), (49.0, 20), (50.0, 50), (99.0, 50), (100.0, 100), (1e9, 100)] {
            assert_eq!(round_rate(wish), Some(step), "{wish}");
        }
        assert_eq!(round_rate(f64::INFINITY), Some(100));
    }

    #[test]
    fn a_rate_below_one_or_not_a_number_has_no_step() {
        for wish in [0.999, 0.0, -5.0, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(round_rate(wish), None, "{wish}");
        }
    }

    #[test]
    fn every_server_frame_of_the_contract_is_reserved_and_ordinary_types_are_not() {
        let contract = "subscription_confirmed unsubscription_confirmed gap notice reconnect published last \
                        token_ok token_expiring subscriptions history pong heartbeat error refusal closed";
        assert_eq!(RESERVED_TYPES, contract.split_whitespace().collect::<Vec<_>>());
        assert!(contract.split_whitespace().all(is_reserved_type));
        for kind in ["message", "price_update", "source_heartbeat", "Heartbeat", ""] {
            assert!(!is_reserved_type(kind), "{kind}");
        }
    }

    #[test]
    fn the_header_keeps_its_field_names() {
        for field in "type channel data timestamp id req correlation_id offset epoch owner".split(' ') {
            assert!(is_reserved_field(field), "{field}");
        }
        assert!(!is_reserved_field("symbol"));
    }
}
