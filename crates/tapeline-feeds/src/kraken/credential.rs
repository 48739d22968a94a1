//! Whether there is a token to subscribe with: wanted, on its way, at hand, or never to be had. A token that is not
//! believed is replaced at once the first time, then ever later. The token itself is shown to nobody.

use std::time::Duration;

use tapeline_core::backoff::Backoff;

/// The bound of the first wait, and of the longest.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What has no [`Debug`](std::fmt::Debug) and therefore is in no log.
struct Secret(String);

enum State {
    /// To be fetched, after so long.
    Wanted(Duration),
    Fetching,
    /// At hand; requests before this one had another.
    Held(Secret, u64),
    Denied,
}

/// See the module.
pub(super) struct Credential {
    state: State,
    backoff: Backoff,
    /// Whether the last token was believed, as far as is known.
    was_refused: bool,
}

impl Credential {
    pub(super) fn new() -> Self {
        Credential {
            state: State::Wanted(Duration::ZERO),
            backoff: Backoff::new(WAITS.0, WAITS.1),
            was_refused: false,
        }
    }

    /// A new connection needs a new token.
    pub(super) fn begin_anew(&mut self) {
        if !matches!(self.state, State::Denied) {
            self.state = State::Wanted(Duration::ZERO);
        }
    }

    /// Whether one is to be fetched, and after how long; it is on its way then.
    pub(super) fn take_wish(&mut self) -> Option<Duration> {
        let State::Wanted(after) = self.state else { return None };
        self.state = State::Fetching;
        Some(after)
    }

    pub(super) fn token(&self) -> Option<&str> {
        match &self.state {
            State::Held(token, _) => Some(&token.0),
            _ => None,
        }
    }

    /// It has come, before the request of this number.
    pub(super) fn on_token(&mut self, token: String, first_req_id: u64) {
        if matches!(self.state, State::Fetching) {
            self.state = State::Held(Secret(token), first_req_id);
        }
    }

    /// It has not come, and may yet.
    pub(super) fn on_failure(&mut self, fraction: f64) {
        if matches!(self.state, State::Fetching) {
            self.state = State::Wanted(self.backoff.next(fraction));
        }
    }

    /// There will never be one.
    pub(super) fn on_denial(&mut self) {
        self.state = State::Denied;
    }

    /// The venue does not believe what the request of this number said.
    pub(super) fn on_refused(&mut self, req_id: u64, fraction: f64) {
        if !matches!(self.state, State::Held(_, first) if req_id >= first) {
            return;
        }
        let first_time = !std::mem::replace(&mut self.was_refused, true);
        self.state = State::Wanted(if first_time { Duration::ZERO } else { self.backoff.next(fraction) });
    }

    /// The venue believes it.
    pub(super) fn on_accepted(&mut self) {
        self.was_refused = false;
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_not_believed_is_replaced_once_at_once_and_then_later() {
        let mut credential = Credential::new();
        assert_eq!(credential.take_wish(), Some(Duration::ZERO));
        assert_eq!(credential.take_wish(), None);
        credential.on_token("first".into(), 1);
        // Two subscriptions with one token are refused by two answers.
        credential.on_refused(1, 1.0);
        credential.on_refused(2, 1.0);
        assert_eq!(credential.take_wish(), Some(Duration::ZERO));
        credential.on_token("second".into(), 3);
        credential.on_refused(2, 1.0);
        assert_eq!(credential.token(), Some("second"));
        credential.on_refused(3, 1.0);
        assert_eq!(credential.take_wish(), Some(Duration::from_secs(1)));
        credential.on_token("third".into(), 4);
        credential.on_accepted();
        credential.on_refused(4, 1.0);
        assert_eq!(credential.take_wish(), Some(Duration::ZERO));
    }

    #[test]
    fn a_token_that_cannot_be_fetched_is_fetched_ever_later_and_a_denied_one_never() {
        let mut credential = Credential::new();
        let mut waits = Vec::new();
        for _ in 0..4 {
            waits.push(credential.take_wish().unwrap().as_secs());
            credential.on_failure(1.0);
        }
        assert_eq!(waits, [0, 1, 2, 4]);
        credential.on_denial();
        credential.begin_anew();
        assert_eq!((credential.take_wish(), credential.token()), (None, None));
    }
}
