//! What a command writes into its `req`: its place in the order of answers, and what its answer looks like. The hub
//! carries that text and gives it back with the answer; only this file reads it.

use tapeline_codec::resp::Version;
use tapeline_core::message::push_number;

/// Which of the three kinds of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Channel,
    Pattern,
    Sharded,
}

impl Kind {
    pub(super) fn subscribed(self) -> &'static str {
        match self {
            Kind::Channel => "subscribe",
            Kind::Pattern => "psubscribe",
            Kind::Sharded => "ssubscribe",
        }
    }

    pub(super) fn unsubscribed(self) -> &'static str {
        match self {
            Kind::Channel => "unsubscribe",
            Kind::Pattern => "punsubscribe",
            Kind::Sharded => "sunsubscribe",
        }
    }
}

/// What an answer looks like when all went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// How many subscriptions a message met.
    Published,
    /// So many subscriptions stand now.
    Subscribed(Kind, usize),
    /// So many are left.
    Unsubscribed(Kind, usize),
    /// All of them have ended; there is nothing to say.
    Ended,
    /// The client is who it says.
    Identified,
    /// The same, said in a `HELLO`; the number is the connection's.
    Greeted(Version, u64),
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub turn: u64,
    pub shape: Shape,
}

impl Mark {
    pub(super) fn text(self) -> Box<str> {
        let (letter, number) = match self.shape {
            Shape::Published => (b'm', 0),
            Shape::Subscribed(Kind::Channel, count) => (b'c', count as u64),
            Shape::Subscribed(Kind::Pattern, count) => (b'p', count as u64),
            Shape::Subscribed(Kind::Sharded, count) => (b's', count as u64),
            Shape::Unsubscribed(Kind::Channel, count) => (b'C', count as u64),
            Shape::Unsubscribed(Kind::Pattern, count) => (b'P', count as u64),
            Shape::Unsubscribed(Kind::Sharded, count) => (b'S', count as u64),
            Shape::Ended => (b'e', 0),
            Shape::Identified => (b'a', 0),
            Shape::Greeted(Version::Two, id) => (b'h', id),
            Shape::Greeted(Version::Three, id) => (b'H', id),
        };
        let mut out = Vec::with_capacity(24);
        push_number(&mut out, self.turn);
        out.push(letter);
        push_number(&mut out, number);
        String::from_utf8(out).unwrap_or_default().into()
    }

    pub(super) fn parse(text: &str) -> Option<Mark> {
        let at = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (turn, rest) = text.split_at_checked(at)?;
        let (letter, number) = rest.split_at_checked(1)?;
        let number: u64 = number.parse().ok()?;
        let count = usize::try_from(number).ok()?;
        let shape = match letter {
            "m" => Shape::Published,
            "c" => Shape::Subscribed(Kind::Channel, count),
            "p" => Shape::Subscribed(Kind::Pattern, count),
            "s" => Shape::Subscribed(Kind::Sharded, count),
            "C" => Shape::Unsubscribed(Kind::Channel, count),
            "P" => Shape::Unsubscribed(Kind::Pattern, count),
            "S" => Shape::Unsubscribed(Kind::Sharded, count),
            "e" => Shape::Ended,
            "a" => Shape::Identified,
            "h" => Shape::Greeted(Version::Two, number),
            "H" => Shape::Greeted(Version::Three, number),
            _ => return None,
        };
        Some(Mark { turn: turn.parse().ok()?, shape })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for shape in [
            Shape::Published,
            Shape::Subscribed(Kind::Channel, 1),
            Shape::Subscribed(Kind::Pattern, 20),
            Shape::Subscribed(Kind::Sharded, 300),
            Shape::Unsubscribed(Kind::Channel, 0),
            Shape::Unsubscribed(Kind::Pattern, 1),
            Shape::Unsubscribed(Kind::Sharded, 2),
            Shape::Ended,
            Shape::Identified,
            Shape::Greeted(Version::Two, u64::MAX),
            Shape::Greeted(Version::Three, 7),
        ] {
            for turn in [0, 7, u64::MAX] {
                let mark = Mark { turn, shape };
                assert_eq!(Mark::parse(&mark.text()), Some(mark));
            }
        }
        for text in ["", "7", "m0", "7x0", "7m", "7m0x"] {
            assert_eq!(Mark::parse(text), None, "{text}");
        }
    }
}
