//! What somebody was told: every byte is kept, so that marks can be looked for in all of it.

use serde_json::{Value, json};

use super::people::{Person, World};
use super::support::client::with;
use super::support::{Client, eventually};

/// One connection, and all that came over it.
pub(crate) struct Ear {
    pub(crate) client: Client,
    pub(crate) heard: String,
}

impl Ear {
    pub(crate) fn of(world: &World, person: &Person) -> Ear {
        Ear { client: world.connect(person), heard: String::new() }
    }

    /// Asks, and answers the frame that answers it; others that come before are kept.
    pub(crate) fn ask(&mut self, request: Value) -> Value {
        self.client.send(&with(request, json!({"req": "asked"})));
        loop {
            let frame = self.client.next();
            self.heard.push_str(&frame.text);
            self.heard.push('\n');
            if frame.json["req"] == "asked" {
                return frame.json;
            }
        }
    }

    /// Waits until this has come.
    pub(crate) fn wait_for(&mut self, mark: &str) {
        while !self.heard.contains(mark) {
            let frame = self.client.next();
            self.heard.push_str(&frame.text);
            self.heard.push('\n');
        }
    }

    /// Takes all that is on its way.
    pub(crate) fn settle(&mut self) {
        for frame in self.client.settle() {
            self.heard.push_str(&frame.text);
            self.heard.push('\n');
        }
    }

    /// Takes what comes until all of these have; what is kept elsewhere may take its time.
    pub(crate) fn settle_with(&mut self, marks: &[String]) {
        let here = eventually(|| {
            self.settle();
            marks.iter().all(|mark| self.heard.contains(mark))
        });
        assert!(here, "not all of {marks:?} have come: {}", self.heard);
    }

    pub(crate) fn count(&self, mark: &str) -> usize {
        self.heard.matches(mark).count()
    }
}

/// Asserts that an answer is a refusal for want of rights, or that it is not.
pub(crate) fn judge(allowed: bool, answer: &Value, about: &str) {
    if allowed {
        assert_ne!(answer["type"], "error", "{about} is allowed: {answer}");
    } else {
        assert_eq!(answer["code"], "forbidden", "{about} is not allowed: {answer}");
    }
}
