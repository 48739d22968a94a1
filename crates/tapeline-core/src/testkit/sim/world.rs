//! One simulated hub: shards, a broker that may be late, clients that may be slow, and a scheduler that picks what
//! happens next. After every step all that arrived is held against the model.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::asked::{Manner, Start, manner};
use super::host::{Host, Pipe, Sockets};
use super::inboxes::{Inbox, Inboxes, lock};
use super::late::LateBroker;
use super::model::Model;
use super::plan::{Plan, catalog};
use super::view::View;
use super::wire::{WIRE, take_frame};
use super::{Opened, Opener, Options};
use crate::broker::Broker;
use crate::clock::Clock;
use crate::command::{Since, SubscribeOptions};
use crate::directory::Directory;
use crate::hub::{Hub, HubParts};
use crate::message::Epoch;
use crate::registry::LocalRegistry;
use crate::rights::Grant;
use crate::session::Arrival;
use crate::shard::{Note, SessionKey, Shard};
use crate::store::{Bounds, LocalStore};
use crate::testkit::{ManualClock, Rng};

/// The contract's "no lane starves": of so many takes, one is from the lowest lane that waits.
const FAIR_TURN: usize = 16;

pub(super) type Checked = Result<(), String>;

/// A client over all its sessions.
#[derive(Default)]
pub(super) struct Client {
    pub host: usize,
    pub key: Option<SessionKey>,
    pub view: View,
    pub stream: Vec<u8>,
    /// Reads everything at once.
    pub fast: bool,
    /// Where it stands under each name, from earlier sessions.
    pub reached: std::collections::HashMap<String, (Epoch, u64)>,
    /// The tables it holds from them.
    pub tables: std::collections::HashMap<String, super::tables::ClientTable>,
}

/// See the module.
pub(super) struct World {
    pub rng: Rng,
    pub plan: Plan,
    pub clock: Arc<ManualClock>,
    pub hub: Arc<Hub>,
    pub broker: Arc<LateBroker>,
    pub sweep: Box<dyn Fn()>,
    pub inboxes: Arc<Inboxes>,
    pub model: Arc<Mutex<Model>>,
    pub hosts: Vec<Host>,
    pub clients: Vec<Client>,
    pub serial: u64,
    pub req: u64,
    /// Message frames and missing offsets that ended sessions were told.
    pub past_messages: u64,
    pub past_gaps: u64,
    pub past_conflated: u64,
    /// A session ended with frames on their way.
    pub frames_lost: bool,
    /// The family that is removed now, and how much less is kept.
    pub declared: (Option<&'static str>, usize),
    pub trace: bool,
}

impl World {
    pub(super) fn new(seed: u64, open: Opener<'_>, Options { trace }: Options) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::new(&mut rng);
        let clock = Arc::new(ManualClock::default());
        let model = Arc::new(Mutex::new(Model::default()));
        let Opened { broker, sweep } = open(clock.clone(), seed);
        let broker = Arc::new(LateBroker::new(broker, model.clone(), clock.clone()));
        broker.late_requests.store(plan.late_requests, Ordering::Relaxed);
        broker.late_answers.store(plan.late_answers, Ordering::Relaxed);
        let hub = Arc::new(Hub::new(HubParts {
            directory: Arc::new(Directory::new(catalog(None, 0))),
            settings: plan.settings.clone(),
            clock: clock.clone(),
            broker: broker.clone(),
            registry: Arc::new(LocalRegistry::default()),
            store: Arc::new(LocalStore::new(clock.clone(), Bounds::default())),
            authority: Arc::new(crate::rights::Off),
            seed,
            shards: plan.shards,
        }));
        let bound = plan.settings.inbox_messages;
        let shards: Vec<Arc<Inbox>> = (0..plan.shards).map(|_| Arc::default()).collect();
        let inboxes = Arc::new(Inboxes {
            shards: shards.clone(),
            bound,
            model: model.clone(),
            loss_percent: AtomicUsize::new(plan.loss_percent),
            rng: Mutex::new(Rng::new(seed ^ 0x10_55)),
        });
        broker.attach(inboxes.clone());
        let host = |(number, inbox): (usize, Arc<Inbox>)| Host {
            shard: Shard::new(hub.clone(), number, inbox.clone()),
            inbox,
            sockets: Sockets::default(),
            bound,
            passed_over: (0, 0),
        };
        let hosts = shards.into_iter().enumerate().map(host).collect();
        let clients = (0..plan.clients).map(|_| Client::default()).collect();
        World {
            rng,
            plan,
            clock,
            hub,
            broker,
            sweep,
            inboxes,
            model,
            hosts,
            clients,
            serial: 0,
            req: 0,
            past_messages: 0,
            past_gaps: 0,
            past_conflated: 0,
            frames_lost: false,
            declared: (None, 0),
            trace,
        }
    }

    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("  {}", what());
        }
    }

    /// One thing happens.
    pub(super) fn step(&mut self) -> Checked {
        let now = self.clock.now();
        let host = self.rng.below(self.hosts.len());
        match self.rng.below(110) {
            0..=24 => self.publish(),
            25..=36 => self.command(),
            37..=54 => {
                let routed = self.hosts[host].route(now);
                self.say(|| format!("route on {host}: {routed}"));
            }
            55..=66 => {
                self.take_note(host);
            }
            67..=74 => {
                self.broker.let_through();
                let which = self.rng.below(self.broker.waiting_answers());
                self.broker.answer(which);
            }
            75..=84 => {
                let limit = self.rng.between(1, 4);
                self.say(|| format!("flush {limit} on {host}"));
                self.hosts[host].flush(limit, now);
            }
            85..=93 => self.unblock(host),
            94..=97 => self.hosts[host].shard.tick(now),
            98..=103 => self.pass_time()?,
            104 if self.plan.forgets => (self.sweep)(),
            105 if self.plan.redeclares => self.redeclare(),
            106 if self.plan.purges => self.purge(),
            107 if self.plan.comes_back => self.come_back(),
            _ => self.come_or_go(),
        }
        self.flush_if_prompt();
        self.look()
    }

    fn flush_if_prompt(&mut self) {
        if self.plan.prompt {
            for host in &mut self.hosts {
                host.flush(1_000, self.clock.now());
            }
        }
    }

    fn pass_time(&mut self) -> Checked {
        let ms = match self.rng.below(40) {
            0 if self.plan.jumps => self.rng.between(5_000, 400_000),
            1..=6 => self.rng.between(200, 3_000),
            _ => self.rng.between(1, 150),
        };
        self.say(|| format!("{ms} ms pass"));
        // Nothing lies in an inbox for as long as it takes to forget a channel.
        for host in self.hosts.iter_mut().filter(|_| ms >= 200) {
            while host.route(self.clock.now()) {}
        }
        self.flush_if_prompt();
        self.look()?;
        self.clock.advance(Duration::from_millis(ms as u64));
        if self.plan.forgets && ms >= 5_000 {
            (self.sweep)();
        }
        let now = self.clock.now();
        for host in &mut self.hosts {
            host.shard.tick(now);
        }
        Ok(())
    }

    fn unblock(&mut self, host: usize) {
        let mut slots: Vec<u32> = self.hosts[host].sockets.0.keys().copied().collect();
        slots.sort_unstable();
        let Some(slot) = self.rng.pick(&slots).copied() else { return };
        let budget = match self.rng.below(4) {
            0 => self.rng.between(1, 20),
            1 | 2 => self.rng.between(20, 400),
            _ => self.rng.between(400, 5_000),
        };
        let fast = self.hosts[host].sockets.0.get(&slot).is_some_and(|pipe| self.clients[pipe.client].fast);
        self.say(|| format!("socket {slot} on {host} takes {budget}"));
        self.hosts[host].unblock(slot, if fast { usize::MAX } else { budget });
    }

    /// Hands the shard its next note; answers whether there was one.
    pub(super) fn take_note(&mut self, host: usize) -> bool {
        let Some(note) = self.hosts[host].next_note() else { return false };
        match &note {
            Note::Joined(joined) => self.begin_one(host, joined),
            Note::Sources(sources) => self.begin_each(host, sources),
            Note::Page(page) => {
                let (request, page) = &**page;
                let offsets: Vec<_> = page.messages.iter().map(|m| m.offset_in(&request.channel)).collect();
                let to = (request.key.slot, &request.channel, &page.head);
                let target = self.hosts[host].shard.router.find(&request.channel).and_then(|id| {
                    let entry = self.hosts[host].shard.router.entries.get(id as usize)?;
                    Some((entry.last, entry.targets.iter().find(|target| target.session == request.key.slot)))
                });
                self.say(|| format!("page on {host} to {to:?}: {offsets:?} for {target:?}"));
            }
            _ => {}
        }
        let now = self.clock.now();
        self.hosts[host].shard.on_note(note, now);
        true
    }

    fn asking(&mut self, host: usize, key: SessionKey, subscription: u32) -> Option<(usize, String)> {
        let client = self.clients.iter().position(|client| client.host == host && client.key == Some(key))?;
        let session = self.hosts[host].shard.live(key)?;
        let topic = session.subscription(subscription)?.topic.name().to_string();
        Some((client, topic))
    }

    fn begin_one(&mut self, host: usize, joined: &(crate::subscribing::JoinRequest, crate::broker::Head)) {
        let (request, head) = joined;
        let Some((client, topic)) = self.asking(host, request.key, request.subscription) else { return };
        let Ok(channel) = self.hub.channel(&topic) else { return };
        if self.hosts[host].shard.is_overtaken(&channel, head, request.asked) {
            return;
        }
        let options = &request.options;
        let Some((manner, _)) = manner(&channel, options.delivery, options.max_rate) else { return };
        let start = Start::of(&channel, manner, options.since.as_ref(), head);
        self.say(|| format!("client {client} begins {topic}: {start:?}, {head:?}"));
        let req = request.req.as_deref().and_then(|req| req.parse().ok());
        self.clients[client].view.begin(&topic, &topic, start, req);
    }

    fn begin_each(
        &mut self,
        host: usize,
        answer: &(crate::subscribing::JoinRequest, crate::broker::Sources),
    ) {
        let (request, sources) = answer;
        let Some((client, topic)) = self.asking(host, request.key, request.subscription) else { return };
        let overtaken =
            |(channel, head): &(_, _)| self.hosts[host].shard.is_overtaken(channel, head, request.asked);
        if sources.heads.iter().any(overtaken) {
            return;
        }
        let options: &SubscribeOptions = &request.options;
        let model = self.model.clone();
        let model = lock(&model);
        for (channel, head) in sources.heads.iter().map(|(channel, head)| (channel.current(), head)) {
            let view = &mut self.clients[client].view;
            let Some(standing) = view.find(&topic) else { return };
            let (manner, _) = standing.manner(channel);
            let listed =
                options.since_each.iter().find(|(name, _)| **name == *channel.name()).map(|(_, since)| since);
            let mut start = match (listed, options.since_time_us) {
                (None, Some(time_us)) => {
                    let mut start = Start::of(channel, manner, Some(&Since::default()), head);
                    let count = model.spaces.get(channel.name()).and_then(|space| space.count(&head.epoch));
                    let old =
                        count.map_or(0, |count| count.messages.iter().filter(|m| m.at_us < time_us).count());
                    // The newest comes however old it is.
                    start.after = if manner == Manner::Every { old as u64 } else { 0 };
                    start
                }
                (since, _) => Start::of(channel, manner, since, head),
            };
            start.after = start.after.min(head.top);
            if self.trace {
                eprintln!("  client {client} begins {topic} in {}: {start:?}, {head:?}", channel.name());
            }
            view.begin(&topic, channel.name(), start, None);
        }
        for (name, since) in &options.since_each {
            let Ok(channel) = self.hub.channel(name) else { continue };
            let listed = sources.heads.iter().any(|(head, _)| *head == channel);
            let view = &mut self.clients[client].view;
            let Some(standing) = view.find(&topic) else { return };
            let every = standing.manner(&channel).0 == Manner::Every;
            if every && standing.covers(&channel) && !listed && !sources.partial && since.offset > 0 {
                view.expect_void(name, since.offset + 1);
            }
        }
        let mixed =
            self.hosts[host].shard.live(request.key).is_some_and(|session| !session.outbox.is_empty());
        let mixed = mixed || !self.clients[client].stream.is_empty();
        let Some(standing) = self.clients[client].view.find(&topic) else { return };
        standing.listed = true;
        standing.mixed |= mixed;
        standing.partial |= sources.partial;
        for (name, space) in &model.spaces {
            if standing.covers(&space.channel) && !standing.starts.contains_key(name) {
                // What came and was forgotten while the answer was on its way was never confirmed.
                let over = space.ended.max(space.counts.len().saturating_sub(1));
                standing.ended.entry(name.clone()).or_insert(over);
            }
        }
    }

    fn come_or_go(&mut self) {
        let client = self.rng.below(self.clients.len());
        match self.clients[client].key {
            None => self.connect(client),
            Some(_) if self.plan.leaves && self.rng.percent(15) => self.disconnect(client),
            Some(_) => {}
        }
    }

    pub(super) fn connect(&mut self, number: usize) {
        let host = self.rng.below(self.hosts.len());
        let fast = self.rng.percent(40);
        let arrival = Arrival {
            principal: format!("client {number}").into(),
            address: "127.0.0.1".into(),
            seat: None,
            client: None,
            grant: Grant::Anyone,
            wire: &WIRE,
            notices: self.rng.percent(50),
            heartbeat: self.rng.percent(50),
            beat: None,
        };
        let key = self.hosts[host].shard.open(arrival, self.clock.now());
        self.say(|| format!("client {number} connects to {host}: {key:?}, fast {fast}"));
        let budget = if fast { usize::MAX } else { self.rng.between(0, 800) };
        self.hosts[host].sockets.0.insert(key.slot, Pipe { client: number, budget, ..Pipe::default() });
        let client = &mut self.clients[number];
        client.host = host;
        client.key = Some(key);
        client.fast = fast;
        client.stream.clear();
        client.view = View::new(fast && self.plan.prompt);
        client.view.tables = client.tables.clone();
        for _ in 0..self.rng.between(0, 3) {
            self.subscribe(number);
        }
    }

    pub(super) fn disconnect(&mut self, number: usize) {
        let Some(key) = self.clients[number].key else { return };
        self.say(|| format!("client {number} disconnects"));
        let host = self.clients[number].host;
        if let Some(session) = self.hosts[host].shard.live(key) {
            self.frames_lost |= !session.outbox.is_empty();
        }
        self.hosts[host].sockets.0.remove(&key.slot);
        self.hosts[host].shard.remove(key.slot);
        let client = &mut self.clients[number];
        let view = std::mem::take(&mut client.view);
        self.past_messages += view.messages;
        self.past_gaps += view.gap_offsets;
        self.past_conflated += view.conflated;
        client.reached.extend(view.reached);
        client.tables = view.tables;
        client.key = None;
    }

    /// What arrived is read and checked; bounds are looked at; finished sessions go.
    pub(super) fn look(&mut self) -> Checked {
        let now = self.clock.now();
        for client in &mut self.clients {
            let Some(key) = client.key else { continue };
            let Some(pipe) = self.hosts[client.host].sockets.0.get_mut(&key.slot) else { continue };
            client.stream.append(&mut pipe.arrived);
            while let Some(frame) = take_frame(&mut client.stream)? {
                if self.trace {
                    eprintln!("    client {} reads {frame:?}", pipe.client);
                }
                let model = lock(&self.model);
                let checked = client.view.on_frame(frame, &model, now.wall_us, now.mono_us);
                checked.map_err(|what| format!("client {}: {what}", pipe.client))?;
            }
        }
        self.close_finished();
        self.check_bounds()?;
        match lock(&self.model).violations.first() {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    }

    fn close_finished(&mut self) {
        for host in 0..self.hosts.len() {
            for slot in self.hosts[host].shard.take_finished() {
                let of =
                    |client: &Client| client.host == host && client.key.is_some_and(|key| key.slot == slot);
                if let Some(client) = self.clients.iter().position(of) {
                    self.disconnect(client);
                }
            }
        }
    }

    fn check_bounds(&mut self) -> Checked {
        let settings = &self.plan.settings;
        for host in &self.hosts {
            let permitted = host.inbox.permitted.load(Ordering::Relaxed);
            if permitted > settings.inbox_messages.max(4) {
                return Err(format!(
                    "{permitted} messages in an inbox, the limit is {}",
                    settings.inbox_messages
                ));
            }
            let (lane, times) = host.passed_over;
            if times > FAIR_TURN {
                return Err(format!("lane {lane} of an inbox was passed over {times} times"));
            }
            for (slot, session) in &host.shard.sessions {
                // Answers and gaps come on top, a few for each subscription; one frame may be of any size.
                let spare = 24 + session.places.len() * 3;
                let (count, bytes) = (session.outbox.count(), session.outbox.bytes());
                if count > settings.outbox_messages + spare
                    || bytes > settings.outbox_bytes + spare * 100 + 2_500
                {
                    return Err(format!("slot {slot}: {count} messages, {bytes} bytes wait"));
                }
            }
        }
        Ok(())
    }
}
