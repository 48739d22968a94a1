//! The end of a simulated world: nobody is slow or late any more, everything settles, and what was promised is
//! counted up. Then everybody leaves, and nothing may be left behind.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::inboxes::lock;
use super::plan::KIND;
use super::world::{Checked, World};
use crate::broker::{Deliver, Drafts, Sources};
use crate::clock::Clock;
use crate::command::Publication;
use crate::rights::Grant;
use crate::stats::{Count, FamilyStats, ShardStats};

/// More rounds than any world needs to come to rest.
const ROUNDS: usize = 3_000;
/// The longest interval of a rate, and some.
const REST: Duration = Duration::from_millis(1_200);

impl World {
    pub(super) fn finish(&mut self) -> Checked {
        self.say(|| "finish".to_string());
        self.broker.late_requests.store(false, Ordering::Relaxed);
        self.broker.late_answers.store(false, Ordering::Relaxed);
        self.inboxes.loss_percent.store(0, Ordering::Relaxed);
        self.settle()?;
        if self.plan.loss_percent > 0 {
            // What a cut connection swallowed shows when the broker is back, or at the next message.
            match self.plan.comes_back {
                true => self.come_back(),
                false => self.publish_everywhere(),
            }
            self.settle()?;
        }
        self.tell_targets();
        self.check_complete()?;
        self.check_counts()?;
        for client in 0..self.clients.len() {
            self.disconnect(client);
        }
        self.settle()?;
        self.check_empty()
    }

    /// Lets everything that can happen happen.
    fn settle(&mut self) -> Checked {
        let mut rested = Duration::ZERO;
        for _ in 0..ROUNDS {
            if self.settle_once()? {
                continue;
            }
            if rested >= REST {
                return Ok(());
            }
            let step = Duration::from_millis(50);
            rested += step;
            self.clock.advance(step);
            let now = self.clock.now();
            for host in &mut self.hosts {
                host.shard.tick(now);
            }
        }
        Err(format!("not at rest after {ROUNDS} rounds"))
    }

    fn settle_once(&mut self) -> Result<bool, String> {
        let mut moved = false;
        while self.broker.let_through() {
            moved = true;
        }
        while self.broker.answer(0) {
            moved = true;
        }
        for host in 0..self.hosts.len() {
            let now = self.clock.now();
            while self.take_note(host) {
                moved = true;
            }
            moved |= self.hosts[host].route(now);
            let slots: Vec<u32> = self.hosts[host].sockets.0.keys().copied().collect();
            for slot in slots {
                self.hosts[host].unblock(slot, usize::MAX);
            }
            self.hosts[host].flush(1_000, now);
        }
        self.look()?;
        Ok(moved)
    }

    fn tell_targets(&self) {
        for host in &self.hosts {
            for (slot, session) in &host.shard.sessions {
                self.say(|| format!("slot {slot}: behind {:?}, waits {}", session.behind, session.waits));
            }
            for (id, entry) in &host.shard.router.entries {
                self.say(|| {
                    format!("entry {id} {:?}, last {}: {:?}", entry.channel, entry.last, entry.targets)
                });
            }
        }
    }

    /// A broker that was away says where everything stands.
    pub(super) fn come_back(&mut self) {
        self.say(|| "the broker says where everything stands".to_string());
        let inboxes = self.inboxes.clone();
        let tell = move |sources: Sources| {
            for (channel, head) in sources.heads {
                inboxes.on_head(&channel, &head);
            }
        };
        self.broker.stand(Box::new(tell));
    }

    fn publish_everywhere(&mut self) {
        for channel in self.plan.channels.clone() {
            self.serial += 1;
            let is_table = self.hub.channel(&channel).is_ok_and(|channel| channel.is_table());
            let data = match is_table {
                true => self.rows(&channel),
                false => format!("[{},\"\"]", self.serial).into(),
            };
            let kind = Some(KIND.into());
            let publication = Publication { channel: channel.into(), kind, data, ..Publication::default() };
            if let Ok(draft) = self.hub.draft(publication, &"end".into(), &Grant::Anyone, self.clock.now()) {
                let _ = self.hub.publish(Drafts::from_iter([draft]), None);
            }
        }
    }

    fn check_complete(&mut self) -> Checked {
        let now_us = self.clock.now().wall_us;
        let model = self.model.clone();
        for (number, client) in self.clients.iter_mut().enumerate() {
            let Some(key) = client.key.filter(|_| !client.view.closing) else { continue };
            let checked = client.view.check_complete(&lock(&model), now_us);
            checked.map_err(|what| format!("client {number}: {what}"))?;
            let session = self.hosts[client.host].shard.live(key);
            if session.is_some_and(|session| !session.outbox.is_empty() || session.reading) {
                return Err(format!("client {number}: something still waits"));
            }
        }
        Ok(())
    }

    fn sum(&self, of: impl Fn(&ShardStats) -> &Count) -> u64 {
        self.hub.shard_stats().iter().map(|stats| of(stats).read()).sum()
    }

    fn total(&self, of: impl Fn(&FamilyStats) -> &Count) -> u64 {
        self.hub.shard_stats().iter().map(|stats| stats.total(&of)).sum()
    }

    fn check_counts(&self) -> Checked {
        let live = |of: fn(&super::view::View) -> u64| {
            self.clients.iter().map(|client| of(&client.view)).sum::<u64>()
        };
        let told = self.past_messages + live(|view| view.messages);
        let delivered = self.total(|stats| &stats.delivered);
        if delivered != told {
            return Err(format!("{delivered} delivered by the counters, {told} arrived"));
        }
        let told = self.past_gaps + live(|view| view.gap_offsets);
        let dropped =
            self.total(|stats| &stats.dropped_trimmed) + self.total(|stats| &stats.dropped_overflow);
        if told > dropped || (told < dropped && !self.frames_lost) {
            return Err(format!("{dropped} dropped by the counters, {told} told as gaps"));
        }
        let told = self.past_conflated + live(|view| view.conflated);
        let conflated = self.total(|stats| &stats.conflated_pressure);
        if told > conflated {
            return Err(format!("{conflated} conflated by the counters, {told} told"));
        }
        let standing: usize = self.clients.iter().map(|client| client.view.standing.len()).sum();
        let counted = self.sum(|stats| &stats.subscriptions);
        let closing = self.clients.iter().any(|client| client.view.closing);
        if counted != standing as u64 && !closing {
            return Err(format!("{counted} subscriptions by the counters, {standing} stand"));
        }
        self.check_audience()
    }

    fn check_audience(&self) -> Checked {
        for name in &self.plan.channels {
            let Ok(channel) = self.hub.channel(name) else { continue };
            let hears = |client: &&super::world::Client| {
                let mut standing = client.view.standing.iter();
                let through = |roll_up: &crate::channel::Channel| {
                    client.view.standing.iter().any(|standing| standing.topic.name() == roll_up.name())
                };
                standing.any(|standing| standing.covers(&channel)) || channel.roll_ups().iter().any(through)
            };
            let counted = self.hub.subscribers(&channel);
            let hearing = self.clients.iter().filter(hears).count();
            if counted != hearing {
                return Err(format!("{counted} sessions are said to hear {name}, {hearing} do"));
            }
        }
        Ok(())
    }

    fn check_empty(&mut self) -> Checked {
        for (name, space) in &lock(&self.model).spaces {
            if space.joined != 0 {
                return Err(format!("{name} is still joined {} times", space.joined));
            }
        }
        for (number, host) in self.hosts.iter().enumerate() {
            let permitted = host.inbox.permitted.load(Ordering::Relaxed);
            if permitted != 0 || !host.shard.is_empty() {
                return Err(format!("shard {number} has {permitted} permits, {} sessions", host.shard.len()));
            }
            let targets: usize = host.shard.router.entries.iter().map(|(_, entry)| entry.targets.len()).sum();
            if targets != 0 {
                return Err(format!("shard {number} still has {targets} targets"));
            }
        }
        let counted = self.sum(|stats| &stats.subscriptions) + self.sum(|stats| &stats.sessions);
        match counted {
            0 => Ok(()),
            _ => Err(format!("{counted} sessions and subscriptions are still counted")),
        }
    }
}
