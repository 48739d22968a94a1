//! What the venue's words of refusal mean for whoever asked. The words are few and nowhere complete; what is not known
//! is taken for something that may pass.

/// What to do about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Never ask again.
    ForGood,
    /// The token is not believed: fetch another.
    Token,
    /// Too many requests: ask later, and slower.
    TooMany,
    /// What was asked for is there already.
    Already,
    /// Ask again later.
    Later,
}

/// Parts of words that are final.
const FINAL: [&str; 8] = [
    "not supported",
    "Unsupported ",
    "Permission denied",
    "Invalid arguments",
    "Invalid key",
    "Invalid signature",
    "field must be",
    "Unknown asset",
];

impl Refusal {
    /// What these words mean.
    pub(super) fn of(error: &str) -> Self {
        let has = |part: &str| error.contains(part);
        if has("Invalid session") || has("Token(s) not found") {
            Refusal::Token
        } else if has("ate limit") || has("Exceeded msg rate") {
            Refusal::TooMany
        } else if has("lready") {
            Refusal::Already
        } else if FINAL.iter().any(|part| has(part)) {
            Refusal::ForGood
        } else {
            Refusal::Later
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_reference_mean_what_it_says() {
        let said = [
            ("Currency pair not supported WWW/USD", Refusal::ForGood),
            ("Unsupported event", Refusal::ForGood),
            ("Unsupported field: 'params' for the given msg type: ping", Refusal::ForGood),
            ("Token(s) not found", Refusal::Token),
            ("ESession:Invalid session", Refusal::Token),
            ("EGeneral:Permission denied", Refusal::ForGood),
            ("EGeneral:Invalid arguments:depth", Refusal::ForGood),
            ("Cash_order_qty field must be a number_float", Refusal::ForGood),
            ("EAPI:Rate limit exceeded", Refusal::TooMany),
            ("EOrder:Rate limit exceeded", Refusal::TooMany),
            ("Exceeded msg rate", Refusal::TooMany),
            ("Already subscribed to this ticker", Refusal::Already),
            ("EService:Unavailable", Refusal::Later),
            ("EService:Busy", Refusal::Later),
            ("some words that nobody has seen yet", Refusal::Later),
        ];
        for (error, refusal) in said {
            assert_eq!(Refusal::of(error), refusal, "{error}");
        }
    }
}
