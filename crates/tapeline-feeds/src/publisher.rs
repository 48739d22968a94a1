//! A venue on the hub: what a session tells goes through the [`Map`] into the [`Intake`], what is wrong becomes alerts,
//! and what was counted stands where the hub's statistics are made. It never waits for the hub. It knows no venue.

use std::sync::Arc;
use std::time::Duration;

use tapeline_core::command::Publication;
use tapeline_core::{Hub, Now};

use crate::alerts::FeedAlerts;
use crate::intake::Intake;
use crate::live::Sink;
use crate::map::{Map, Untold};
use crate::venue::{Event, Session};

/// How often the hub is asked who hears, and offered what it did not take.
const TICK: Duration = Duration::from_millis(50);
/// How often alerts are looked at, and what could not be published is told.
const LOOK: Duration = Duration::from_secs(1);

/// See the module.
pub struct Publisher {
    name: Arc<str>,
    hub: Arc<Hub>,
    map: Map,
    intake: Intake,
    alerts: FeedAlerts,
    due: Vec<Publication>,
    looked_us: u64,
    /// Of the session, when it was last looked at.
    messages: u64,
    /// Untold since the last look, and one of them.
    untold: u64,
    example: Option<Untold>,
}

impl Publisher {
    /// The feed of this name: it publishes as `feed:NAME` and alerts on `alerts:NAME`.
    pub fn new(name: &str, hub: Arc<Hub>, map: Map) -> Self {
        let intake = Intake::new(hub.clone(), &format!("feed:{name}"));
        // From now on it is shown as not connected.
        intake.stats().venue().connected.set(0);
        let alerts = FeedAlerts::new(name, hub.now());
        Publisher {
            name: name.into(),
            hub,
            map,
            intake,
            alerts,
            due: Vec::new(),
            looked_us: 0,
            messages: 0,
            untold: 0,
            example: None,
        }
    }

    fn publish(&mut self) {
        self.intake.publish(self.due.drain(..));
        let now = self.hub.now();
        for channel in self.intake.take_unpublished() {
            self.map.on_unpublished(channel.name(), now);
        }
    }

    fn note(&mut self, event: &Event) {
        let (feed, venue) = (&*self.name, self.intake.stats().venue());
        match event {
            Event::Connected => venue.connected.set(1),
            Event::Disconnected { .. } => venue.connected.set(0),
            Event::BookLost { symbol, why } => {
                tracing::info!(feed, %symbol, ?why, "a book is fetched anew");
            }
            Event::Gap { channel, symbol, why } => {
                tracing::warn!(feed, %channel, ?symbol, ?why, "messages are missing");
            }
            Event::State(state) => tracing::info!(feed, ?state, "the venue says how it is"),
            Event::Refused { channel, symbol, error } => {
                let symbol = symbol.as_deref().unwrap_or_default();
                tracing::error!(feed, %channel, symbol, "the venue refuses a subscription: {error}");
            }
            Event::Unanswered { channel, symbol, error } => {
                let symbol = symbol.as_deref().unwrap_or_default();
                let error = error.as_deref().unwrap_or("it says nothing");
                tracing::warn!(feed, %channel, symbol, "a subscription does not come about: {error}");
            }
            Event::Held { channel, symbol } => {
                let symbol = symbol.as_deref().unwrap_or_default();
                tracing::info!(feed, %channel, symbol, "a subscription has come about after all");
            }
            // Alerts tell.
            Event::Update(_) | Event::Book(_) | Event::Silent { .. } | Event::Resumed { .. } => {}
        }
    }

    fn count(&mut self, session: &dyn Session, now: Now) {
        let (counts, venue) = (session.counts(), self.intake.stats().venue());
        if counts.messages != self.messages {
            self.messages = counts.messages;
            venue.heard_us.set(now.wall_us);
        }
        venue.messages.set(counts.messages);
        venue.strays.set(counts.strays + counts.malformed);
        venue.repeated.set(counts.repeated);
        venue.checksum_failures.set(counts.checksum_failures);
        venue.resyncs.set(counts.resyncs);
        venue.gaps.set(counts.gaps);
        venue.disconnects.set(counts.disconnects);
    }

    fn look(&mut self, now: Now) {
        self.looked_us = now.mono_us;
        self.alerts.look(self.intake.stats(), now, &mut self.due);
        if let Some(untold) = self.example.take() {
            tracing::warn!(feed = &*self.name, count = self.untold, "not published: {untold}");
            self.untold = 0;
        }
    }
}

impl Sink for Publisher {
    fn handle(&mut self, events: &[Event], session: &dyn Session) {
        self.alerts.handle(events, self.hub.now());
        events.iter().for_each(|event| self.note(event));
        let mut untold = self.map.take(events, session, &self.hub, &mut self.due);
        self.untold += untold.len() as u64;
        if self.example.is_none() {
            self.example = untold.pop();
        }
        self.publish();
    }

    fn tick(&self) -> Option<Duration> {
        Some(TICK)
    }

    fn on_tick(&mut self, session: &dyn Session) {
        let now = self.hub.now();
        self.map.tick(now, session, &self.hub, &mut self.due);
        self.count(session, now);
        if now.since(self.looked_us) >= LOOK {
            self.look(now);
        }
        self.publish();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.intake.stats().venue().connected.set(0);
        self.intake.close();
    }
}
