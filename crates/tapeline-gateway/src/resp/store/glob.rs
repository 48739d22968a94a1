//! Patterns over many names, or long ones: what `Pattern` means, found with one look at each byte. It holds where in the
//! pattern a match may stand, all places at once, so no text makes it look back.

use tapeline_schema::Pattern;

/// Words of 64 places: a pattern has at most 256 bytes, and there is a place behind the last.
const WORDS: usize = 5;

/// Places in a pattern.
type Places = [u64; WORDS];

fn mark(places: &mut Places, place: usize) {
    if let Some(word) = places.get_mut(place / 64) {
        *word |= 1 << (place % 64);
    }
}

fn has(places: &Places, place: usize) -> bool {
    places.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
}

/// A pattern taken apart.
#[derive(Debug)]
pub(super) struct Glob {
    /// The places that each byte leads on from.
    takes: Vec<Places>,
    /// The places where anything may come: a star stands there.
    stays: Places,
    /// Behind the last item.
    end: usize,
}

impl Glob {
    pub(super) fn of(pattern: &Pattern) -> Self {
        let mut glob = Glob { takes: vec![[0; WORDS]; 256], stays: [0; WORDS], end: 0 };
        let mut rest = pattern.as_str().as_bytes();
        loop {
            rest = match rest {
                [] => return glob,
                [b'*', after @ ..] => {
                    mark(&mut glob.stays, glob.end);
                    after
                }
                [b'?', after @ ..] => {
                    glob.push(|_| true);
                    after
                }
                [b'[', after @ ..] => {
                    let (taken, after) = class(after);
                    glob.push(|byte| taken.get(usize::from(byte)) == Some(&true));
                    after
                }
                [b'\\', literal, after @ ..] | [literal, after @ ..] => {
                    glob.push(|byte| byte == *literal);
                    after
                }
            };
        }
    }

    /// The next item takes these bytes.
    fn push(&mut self, takes: impl Fn(u8) -> bool) {
        for (byte, places) in (0..=u8::MAX).zip(&mut self.takes) {
            if takes(byte) {
                mark(places, self.end);
            }
        }
        self.end += 1;
    }

    /// Whether the whole name matches. As in `Pattern`, nothing matches the empty one.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        let mut places = [0; WORDS];
        mark(&mut places, 0);
        for byte in name {
            let Some(takes) = self.takes.get(usize::from(*byte)) else { return false };
            let (mut carry, mut any) = (0, 0);
            let words = places.iter_mut().take(self.end / 64 + 1);
            for ((word, takes), stays) in words.zip(takes).zip(&self.stays) {
                let led_on = *word & takes;
                *word = led_on << 1 | carry | *word & stays;
                carry = led_on >> 63;
                any |= *word;
            }
            if any == 0 {
                return false;
            }
        }
        !name.is_empty() && has(&places, self.end)
    }
}

/// The bytes that a class takes, and what comes behind it. The arms stand in the order that `Pattern` has them in.
fn class(class: &[u8]) -> ([bool; 256], &[u8]) {
    let (negated, mut rest) = match class {
        [b'^', after @ ..] => (true, after),
        _ => (false, class),
    };
    let mut taken = [false; 256];
    let mut take = |from: u8, to: u8| {
        let range = usize::from(from.min(to))..=usize::from(from.max(to));
        taken.get_mut(range).into_iter().for_each(|taken| taken.fill(true));
    };
    loop {
        rest = match rest {
            [b'\\', literal, after @ ..] => {
                take(*literal, *literal);
                after
            }
            [] => break,
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            [start, b'-', end, after @ ..] => {
                take(*start, *end);
                after
            }
            [literal, after @ ..] => {
                take(*literal, *literal);
                after
            }
        };
    }
    (taken.map(|taken| taken != negated), rest)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_name_is_looked_at_once() {
        let pattern = format!("*{}b", "a".repeat(250));
        let glob = Glob::of(&Pattern::parse(&pattern).unwrap());
        let mut name = "a".repeat(1 << 20).into_bytes();
        let began = Instant::now();
        assert!(!glob.matches(&name));
        name.push(b'b');
        assert!(glob.matches(&name));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }

    #[test]
    fn all_places_of_the_longest_pattern_are_held() {
        for stars in ["", "*"] {
            let text = format!("{}{stars}", "?".repeat(256 - stars.len()));
            let glob = Glob::of(&Pattern::parse(&text).unwrap());
            for length in [0, 1, 254, 255, 256, 257] {
                let is_matched = if stars.is_empty() { length == 256 } else { length >= 255 };
                assert_eq!(glob.matches(&vec![b'x'; length]), is_matched, "{text} {length}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_the_pattern_matches(
            pattern in "[ab*?\\[\\]^\\\\-]{1,12}", name in "[ab\\[\\]^\\\\-]{0,9}",
        ) {
            let pattern = Pattern::parse(&pattern).unwrap();
            prop_assert_eq!(Glob::of(&pattern).matches(name.as_bytes()), pattern.matches(&name));
        }
    }
}
