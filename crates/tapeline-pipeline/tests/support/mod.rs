//! Components that do as they are told, and updates for them.

use std::sync::{Arc, Mutex};

use tapeline_core::clock::Now;
use tapeline_core::feed::{Update, UpdateKind, VenueChannel};
use tapeline_pipeline::component::{Component, Failure, Handling};

type Rule = dyn Fn(u64) -> Result<(), Failure> + Send + Sync;

/// Takes every channel, answers by rule, and remembers the numbers of what it took.
pub struct Probe {
    rule: Box<Rule>,
    taken: Mutex<Vec<u64>>,
}

impl Probe {
    pub fn new(rule: impl Fn(u64) -> Result<(), Failure> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Probe { rule: Box::new(rule), taken: Mutex::default() })
    }

    pub fn numbers(&self) -> Vec<u64> {
        self.taken.lock().unwrap().clone()
    }
}

impl Component for Probe {
    fn takes(&self, _: &VenueChannel) -> bool {
        true
    }

    fn handle<'a>(&'a self, update: &'a Arc<Update>) -> Handling<'a> {
        let number = update.sequence.unwrap();
        let outcome = (self.rule)(number);
        if outcome.is_ok() {
            self.taken.lock().unwrap().push(number);
        }
        Box::pin(async move { outcome })
    }
}

/// An update of this channel with a number.
pub fn update(channel: VenueChannel, symbol: &str, number: u64) -> Update {
    Update {
        source: "kraken".into(),
        channel,
        kind: UpdateKind::Change,
        symbol: Some(symbol.into()),
        data: format!(r#"{{"symbol":"{symbol}","last":{number}}}"#).into(),
        id: None,
        sequence: Some(number),
        venue_us: None,
        received: Now { mono_us: 1, wall_us: 1 },
    }
}

pub fn ticker(symbol: &str, number: u64) -> Update {
    update(VenueChannel::Ticker, symbol, number)
}
