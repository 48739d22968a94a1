//! What stays between two looks: the newest answer, what is on the screen, and how long there has been no answer.

use std::time::{Duration, Instant};

use super::view::{Sample, View};

/// See the module.
pub(super) struct Watching {
    hub: String,
    newest: Sample,
    /// Without an answer for so long, the screen says so.
    patience: Duration,
    /// Why the last question failed.
    error: Option<String>,
    pub(super) view: View,
}

impl Watching {
    pub(super) fn new(hub: String, first: Sample, patience: Duration) -> Self {
        let view = View::between(&hub, &first, &first);
        Watching { hub, newest: first, patience, error: None, view }
    }

    /// Space was pressed.
    pub(super) fn hold(&mut self) {
        self.view.held = !self.view.held;
    }

    /// An answer came, or none did. A hub that is started again is what one watches for.
    pub(super) fn take(&mut self, sampled: anyhow::Result<Sample>) {
        match sampled {
            Ok(later) => {
                if !self.view.held {
                    self.view = View::between(&self.hub, &self.newest, &later);
                }
                (self.newest, self.error) = (later, None);
            }
            Err(error) => self.error = Some(format!("{error:#}")),
        }
    }

    /// What is wrong by now.
    pub(super) fn tick(&mut self, now: Instant) {
        let silent = now.saturating_duration_since(self.newest.at);
        let silence = || format!("no answer for {} s", silent.as_secs());
        self.view.trouble = match &self.error {
            Some(error) => Some(format!("{}: {error}", silence())),
            None => (silent > self.patience).then(silence),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, published: u64) -> Sample {
        let answer = format!(r#"{{"instance":"a","version":"1","published":{published}}}"#);
        Sample { at, answer: serde_json::from_str(&answer).unwrap() }
    }

    #[test]
    fn a_hub_that_says_nothing_is_told_with_the_time_until_it_answers() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut watching = Watching::new("h".to_string(), sample(start, 1), Duration::from_secs(2));
        let trouble = |watching: &mut Watching, seconds| {
            watching.tick(after(seconds));
            watching.view.trouble.clone()
        };
        assert_eq!(trouble(&mut watching, 2), None);
        assert_eq!(trouble(&mut watching, 5).as_deref(), Some("no answer for 5 s"));
        watching.take(Err(anyhow::anyhow!("gone")));
        assert_eq!(trouble(&mut watching, 6).as_deref(), Some("no answer for 6 s: gone"));
        watching.take(Ok(sample(after(7), 2)));
        assert_eq!(trouble(&mut watching, 7), None);
    }

    #[test]
    fn a_held_screen_stays_and_goes_on_from_the_newest_answer() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut watching = Watching::new("h".to_string(), sample(start, 0), Duration::from_secs(9));
        watching.hold();
        watching.take(Ok(sample(after(1), 100)));
        assert_eq!(watching.view.rates[0].in_all, 0);
        watching.hold();
        watching.take(Ok(sample(after(2), 110)));
        assert_eq!((watching.view.rates[0].in_all, watching.view.rates[0].per_second), (110, 10.0));
    }
}
