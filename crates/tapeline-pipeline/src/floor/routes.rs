//! Who takes which channel. It never changes: another takes its place.

use std::collections::HashMap;
use std::sync::Arc;

use tapeline_core::feed::VenueChannel;

use crate::cell::Cell;

/// A component that was registered for channels, and which of them it has a method for.
#[derive(Clone)]
pub(crate) struct Taker {
    pub(crate) cell: Arc<Cell>,
    pub(crate) takes: Vec<VenueChannel>,
    pub(crate) skips: Vec<VenueChannel>,
}

/// Who takes one channel, in the order in which they are locked.
#[derive(Debug, Default)]
pub(crate) struct Route {
    pub(crate) takers: Vec<Arc<Cell>>,
    pub(crate) skippers: Vec<Arc<Cell>>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    known: [Route; VenueChannel::ALL.len()],
    others: HashMap<Arc<str>, Route>,
    nobody: Route,
}

impl Routes {
    pub(crate) fn new(mut takers: Vec<Taker>) -> Self {
        takers.sort_by_key(|taker| taker.cell.number);
        let mut routes = Routes::default();
        for taker in takers {
            for channel in &taker.takes {
                routes.entry(channel).takers.push(taker.cell.clone());
            }
            for channel in &taker.skips {
                routes.entry(channel).skippers.push(taker.cell.clone());
            }
        }
        routes
    }

    pub(crate) fn of(&self, channel: &VenueChannel) -> &Route {
        let found = match channel {
            VenueChannel::Other(name) => self.others.get(name),
            known => self.known.get(place(known)),
        };
        found.unwrap_or(&self.nobody)
    }

    fn entry(&mut self, channel: &VenueChannel) -> &mut Route {
        match channel {
            VenueChannel::Other(name) => self.others.entry(name.clone()).or_default(),
            known => self.known.get_mut(place(known)).unwrap_or(&mut self.nobody),
        }
    }
}

/// Of a channel with a name of its own, its place in [`VenueChannel::ALL`].
fn place(channel: &VenueChannel) -> usize {
    match channel {
        VenueChannel::Ticker => 0,
        VenueChannel::Book => 1,
        VenueChannel::Trade => 2,
        VenueChannel::Ohlc => 3,
        VenueChannel::Instrument => 4,
        VenueChannel::Status => 5,
        VenueChannel::Heartbeat => 6,
        VenueChannel::Balances => 7,
        VenueChannel::Executions => 8,
        VenueChannel::Other(_) => usize::MAX,
    }
}
