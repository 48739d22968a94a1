//! What the clients of a simulated world ask for, and what is published in it.

use bytes::Bytes;
use smallvec::SmallVec;

use super::asked::{Standing, manner};
use super::inboxes::lock;
use super::plan::{KIND, wish};
use super::world::World;
use crate::broker::{Broker, Drafts};
use crate::clock::Clock;
use crate::command::{Command, Publication, Since, SubscribeOptions, Wanted};
use crate::reply::Topic;
use crate::rights::Grant;
use crate::shard::Handled;
use tapeline_schema::{Delivery, Pattern};

fn plain(serial: u64, padding: usize) -> Bytes {
    format!("[{serial},\"{}\"]", "x".repeat(padding)).into()
}

impl World {
    fn publication(&mut self) -> Option<Publication> {
        let channel = &*self.rng.pick(&self.plan.channels)?.clone();
        self.serial += 1;
        let padding = match self.rng.below(20) {
            0 => self.rng.between(200, 1_000),
            1..=5 => self.rng.between(20, 120),
            _ => self.rng.below(10),
        };
        let is_table = self.hub.channel(channel).is_ok_and(|channel| channel.is_table());
        let data = if is_table { self.rows(channel) } else { plain(self.serial, padding) };
        let channel = channel.into();
        let keyed = self.rng.percent(15);
        let idempotency_key = keyed.then(|| format!("key {}", self.rng.below(6)).into());
        Some(Publication {
            channel,
            kind: Some(KIND.into()),
            data,
            idempotency_key,
            ..Publication::default()
        })
    }

    /// Some rows of a table, as one of its publishers says them.
    pub(super) fn rows(&mut self, channel: &str) -> Bytes {
        let serial = self.serial;
        let mut rows = Vec::new();
        for _ in 0..self.rng.between(0, 3) {
            let key = self.rng.below(6);
            let gone = self.rng.percent(25);
            let field = if channel.starts_with("positions:") { "symbol" } else { "row" };
            rows.push(match (channel.starts_with("ladder:"), gone) {
                (true, true) => format!("[{key}.50,0.0]"),
                (true, false) => format!("[{key}.5,{serial}]"),
                (false, true) => format!("{{\"{field}\":\"{key}\",\"removed\":true}}"),
                (false, false) => format!("{{\"{field}\":\"{key}\",\"n\":{serial}}}"),
            });
        }
        let snapshot = self.rng.percent(8);
        format!("{{\"rows\":[{}],\"snapshot\":{snapshot},\"meta\":{{\"serial\":{serial}}}}}", rows.join(","))
            .into()
    }

    pub(super) fn publish(&mut self) {
        let principal = format!("publisher {}", self.rng.below(2)).into();
        let mut drafts: Drafts = SmallVec::new();
        for _ in 0..if self.rng.percent(20) { self.rng.between(2, 4) } else { 1 } {
            let Some(publication) = self.publication() else { return };
            match self.hub.draft(publication, &principal, &Grant::Anyone, self.clock.now()) {
                Ok(draft) => drafts.push(draft),
                Err(refusal) => lock(&self.model).violated(format!("a draft was refused: {refusal:?}")),
            }
        }
        self.say(|| {
            format!("publish {:?}", drafts.iter().map(|d| (&d.channel, &d.data)).collect::<Vec<_>>())
        });
        // Without room in the inboxes the publisher gives up; what came back is checked on the way.
        let _ = self.hub.publish(drafts, None);
    }

    /// The broker is told to forget what a channel keeps, up to one of its newest messages or all of it.
    pub(super) fn purge(&mut self) {
        let Some(name) = self.rng.pick(&self.plan.channels).cloned() else { return };
        let Ok(channel) = self.hub.channel(&name) else { return };
        let top = lock(&self.model).space(&channel).current().map_or(0, |count| count.top());
        let through = top.saturating_sub(self.rng.below(5) as u64);
        self.say(|| format!("forget {name} through {through}"));
        self.broker.forget(&channel, through, Box::new(|_| {}));
    }

    /// A client that is connected and may speak.
    fn speaker(&mut self) -> Option<usize> {
        let client = self.rng.below(self.clients.len());
        let of = &self.clients[client];
        let slot = of.key?.slot;
        (self.hosts[of.host].shard.has_room(slot) && !of.view.closing && !of.view.void).then_some(client)
    }

    pub(super) fn command(&mut self) {
        let Some(client) = self.speaker() else { return };
        match self.rng.below(20) {
            0..=9 => self.subscribe(client),
            10..=12 => self.unsubscribe(client),
            13..=15 => {
                let Some(publication) = self.publication() else { return };
                let req = self.rng.percent(50).then(|| "1".into());
                self.handle(client, Command::Publish { publication: Box::new(publication), req });
            }
            16 => self.handle(client, Command::List { req: None }),
            17 => self.handle(client, Command::Ping { req: None }),
            18 => {
                let Some(channel) = self.rng.pick(&self.plan.channels).map(|name| name.as_str().into())
                else {
                    return;
                };
                self.handle(client, Command::Last { channel, req: None });
            }
            _ => {
                let Some(channel) = self.rng.pick(&self.plan.channels).map(|name| name.as_str().into())
                else {
                    return;
                };
                self.handle(client, Command::History { channel, since: None, limit: Some(3), req: None });
            }
        }
    }

    fn handle(&mut self, client: usize, command: Command) {
        let Some(key) = self.clients[client].key else { return };
        self.say(|| format!("client {client} asks {command:?}"));
        let now = self.clock.now();
        let host = &mut self.hosts[self.clients[client].host];
        if let Handled::Busy(busy) = host.shard.handle(key.slot, command, now) {
            // Once more at once; then this publisher gives up.
            let _ = host.shard.retry(*busy);
        }
    }

    pub(super) fn subscribe(&mut self, client: usize) {
        let Some((pattern, name)) = self.rng.pick(&self.plan.topics).cloned() else { return };
        let (delivery, max_rate) = if self.plan.mixed { self.wish() } else { self.plan.wish };
        let mut options = SubscribeOptions { delivery, max_rate, ..SubscribeOptions::default() };
        let topic = if pattern {
            let Ok(pattern) = Pattern::parse(&name) else { return };
            self.resume_pattern(client, &pattern, &mut options);
            Topic::Pattern(pattern)
        } else {
            let Ok(channel) = self.hub.channel(&name) else { return };
            options.since = self.resume(client, &name);
            Topic::Channel(channel)
        };
        let refused = match &topic {
            Topic::Channel(channel) => manner(channel, delivery, max_rate).is_none(),
            Topic::Pattern(_) => false,
        };
        if !refused {
            let asked = Standing::new(topic, delivery, max_rate);
            let resumes =
                options.since.is_some() || options.since_time_us.is_some() || !options.since_each.is_empty();
            self.clients[client].view.subscribe(asked, resumes, &lock(&self.model));
        }
        self.req += 1;
        let req = Some(self.req.to_string().into());
        let wanted = vec![if pattern { Wanted::Pattern(name.into()) } else { Wanted::Channel(name.into()) }];
        self.handle(client, Command::Subscribe { wanted, options: Box::new(options), req });
    }

    fn wish(&mut self) -> (Option<Delivery>, Option<u32>) {
        wish(&mut self.rng)
    }

    /// Mostly what the client really has; sometimes an older place, one in the future or of a stale epoch.
    fn resume(&mut self, client: usize, name: &str) -> Option<Since> {
        let of = &self.clients[client];
        let reached = of.view.reached.get(name).or_else(|| of.reached.get(name)).cloned();
        let Some((epoch, offset)) = reached else {
            return self.rng.percent(20).then(|| Since { offset: self.rng.below(4) as u64, epoch: None });
        };
        let epoch = Some(Box::from(&*epoch));
        match self.rng.below(20) {
            0..=9 => Some(Since { offset, epoch }),
            10..=12 => Some(Since { offset: offset.saturating_sub(self.rng.between(1, 9) as u64), epoch }),
            13 => Some(Since { offset: offset + 1_000, epoch }),
            14 => Some(Since { offset, epoch: Some("stale".into()) }),
            15 => Some(Since { offset, epoch: None }),
            _ => None,
        }
    }

    fn resume_pattern(&mut self, client: usize, pattern: &Pattern, options: &mut SubscribeOptions) {
        if self.rng.percent(50) {
            return;
        }
        let of = &self.clients[client];
        let mut names: Vec<String> = of.reached.keys().chain(of.view.reached.keys()).cloned().collect();
        names.sort_unstable();
        names.dedup();
        for name in names.into_iter().filter(|name| pattern.matches(name)) {
            if let Some(since) = self.resume(client, &name) {
                options.since_each.push((name.into(), since));
            }
        }
        if self.rng.percent(40) {
            let now_us = self.hub.now().wall_us;
            options.since_time_us = Some(now_us - self.rng.between(0, 5_000_000) as u64);
        }
    }

    fn unsubscribe(&mut self, client: usize) {
        let names: Vec<(bool, String)> = self.clients[client]
            .view
            .standing
            .iter()
            .map(|standing| (matches!(standing.topic, Topic::Pattern(_)), standing.topic.name().to_string()))
            .collect();
        if self.rng.percent(10) {
            for (_, name) in &names {
                self.clients[client].view.unsubscribe(name, &lock(&self.model));
            }
            return self.handle(client, Command::UnsubscribeAll { req: None });
        }
        let Some((pattern, name)) = self.rng.pick(&names).cloned() else { return };
        self.clients[client].view.unsubscribe(&name, &lock(&self.model));
        let wanted = vec![if pattern { Wanted::Pattern(name.into()) } else { Wanted::Channel(name.into()) }];
        self.handle(client, Command::Unsubscribe { wanted, req: None });
    }
}
