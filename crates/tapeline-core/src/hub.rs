//! One node: what all its shards and gateways share. It gives a publication its channel, id and time and hands it
//! to the broker (hop 3 of eight); it does not route, queue or keep anything itself.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;
use tapeline_schema::events::PresenceEvent;
use tapeline_schema::{Catalog, ErrorCode, Pattern};

use crate::audience::{Audience, HeardTopic, Hearers, Hearing, Who};
use crate::board::Board;
use crate::broker::{Broker, Busy, Drafts, Receipts};
use crate::channel::Channel;
use crate::clock::{Clock, Now};
use crate::command::Publication;
use crate::concern::Concern;
use crate::crowd::Crowd;
use crate::dead_letters::DeadLetters;
use crate::directory::{Directory, Replaced};
use crate::drafting::{Drafter, Ids};
use crate::error::Refusal;
use crate::families::{Families, FamilyNumber};
use crate::incidents::{IncidentKind, Incidents, Trouble};
use crate::message::Draft;
use crate::presence::Comings;
use crate::pressure::Pressure;
use crate::rates::User;
use crate::registry::Registry;
use crate::reply::Topic;
use crate::rights::{Authority, Grant};
use crate::settings::Settings;
use crate::stats::{HubStats, ShardStats};
use crate::store::Store;

/// Principals whose rates are remembered, beside those that are connected.
const USERS: usize = 65_536;

/// A publication that was refused.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The channel's name, as it was given.
    pub channel: Box<str>,
}

/// What a hub is made of.
pub struct HubParts {
    /// The channels, which the broker looks up there too.
    pub directory: Arc<Directory>,
    /// Bounds.
    pub settings: Settings,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where messages are kept.
    pub broker: Arc<dyn Broker>,
    /// Who is connected.
    pub registry: Arc<dyn Registry>,
    /// Small state beside messages.
    pub store: Arc<dyn Store>,
    /// Who checks tokens and keys.
    pub authority: Arc<dyn Authority>,
    /// Makes ids differ between hubs.
    pub seed: u64,
    /// How many shards will attach.
    pub shards: usize,
}

/// The name among hubs of the one with this seed.
pub fn instance(seed: u64) -> String {
    format!("{seed:016x}")
}

/// See the module.
pub struct Hub {
    directory: Arc<Directory>,
    settings: ArcSwap<Settings>,
    clock: Arc<dyn Clock>,
    broker: Arc<dyn Broker>,
    registry: Arc<dyn Registry>,
    store: Arc<dyn Store>,
    authority: Arc<dyn Authority>,
    audience: Audience,
    comings: Comings,
    ids: Ids,
    instance: Box<str>,
    stats: Arc<HubStats>,
    incidents: Incidents,
    board: Board,
    dead_letters: DeadLetters,
    users: Crowd<Arc<str>, Arc<User>>,
    pressure: Pressure,
    shards: Box<[Arc<ShardStats>]>,
}

impl Hub {
    /// Puts the parts together. The broker must be attached to the shards' inboxes before the first publish.
    pub fn new(parts: HubParts) -> Self {
        Hub {
            directory: parts.directory,
            settings: ArcSwap::from_pointee(parts.settings),
            clock: parts.clock,
            broker: parts.broker,
            registry: parts.registry,
            store: parts.store,
            authority: parts.authority,
            audience: Audience::default(),
            comings: Comings::default(),
            ids: Ids::new(parts.seed),
            instance: instance(parts.seed).into(),
            stats: Arc::default(),
            incidents: Incidents::default(),
            board: Board::default(),
            dead_letters: DeadLetters::default(),
            users: Crowd::new(USERS),
            pressure: Pressure::default(),
            shards: (0..parts.shards).map(|_| Arc::default()).collect(),
        }
    }

    /// The channel of this name; refuses names outside the rules, and undeclared ones if the hub is strict.
    pub fn channel(&self, name: &str) -> Result<Channel, Refusal> {
        let channel = self.directory.channel(name)?;
        if !channel.declared() && self.settings().strict_channels {
            let hint = self.catalog().suggest(name).map(|near| format!("; did you mean {near}?"));
            let message = format!("no family declares channel {name}{}", hint.unwrap_or_default());
            return Err(Refusal::new(ErrorCode::UndeclaredChannel, message));
        }
        Ok(channel)
    }

    /// Makes the drafts of what one publisher says now.
    pub fn drafter<'a>(&'a self, principal: &'a Arc<str>, grant: &'a Grant, now: Now) -> Drafter<'a> {
        Drafter::new(self, principal, grant, now)
    }

    /// Checks a publication and makes its draft; what is refused is counted.
    pub fn draft(
        &self,
        publication: Publication,
        principal: &Arc<str>,
        grant: &Grant,
        now: Now,
    ) -> Result<Draft, Refused> {
        let (publication, channel) = publication.split();
        let publication = publication.named(&*channel);
        let drafted = self.drafter(principal, grant, now).draft(publication, None);
        drafted.map_err(|refusal| Refused { refusal, channel })
    }

    pub(crate) fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Hands drafts to the broker; at most [`crate::broker::SLICE`] at once.
    pub fn publish(&self, drafts: Drafts, receipts: Option<Receipts>) -> Result<(), Box<Busy>> {
        let mut counts: SmallVec<[(FamilyNumber, u64); 4]> = SmallVec::new();
        for family in drafts.iter().map(|draft| draft.channel.family()) {
            match counts.last_mut() {
                Some((last, count)) if *last == family => *count += 1,
                _ => counts.push((family, 1)),
            }
        }
        let outcome = self.dead_letters.publish(&*self.broker, drafts, receipts);
        match outcome {
            Ok(()) => {
                counts.iter().for_each(|(family, count)| self.stats.families.of(*family).taken.add(*count))
            }
            Err(_) => self.stats.waited.add(1),
        }
        outcome
    }

    /// A publish was refused: counts and remembers it.
    pub fn on_publish_refused(&self, channel: &str, client: &str, refusal: &Refusal, now: Now) {
        self.stats.refuse(refusal.code, 1);
        let kind = IncidentKind::PublishRefused;
        let (code, message) = (refusal.code.name(), &*refusal.message);
        self.incidents.report(Trouble { kind, code, channel, client, message }, now);
    }

    /// Sessions that hear the channel: this node's now, other nodes' as they said last.
    pub fn subscribers(&self, channel: &Channel) -> usize {
        self.audience.count(channel) + self.registry.subscribers(channel)
    }

    /// Whether a session of this node hears the channel.
    pub(crate) fn is_heard(&self, channel: &Channel) -> bool {
        self.audience.count(channel) > 0
    }

    /// Sessions that hear the channel by this very name.
    pub fn subscribers_by_name(&self, channel: &Channel) -> usize {
        self.audience.count_by_name(channel)
    }

    /// Topics whose hearers here have changed since the last call, at most `limit`, each with at most `named` of them; all
    /// that are heard where `again`.
    pub fn changed_topics(&self, again: bool, limit: usize, named: usize) -> Vec<HeardTopic> {
        self.audience.take_changed(again, limit, named)
    }

    /// A node has ended without a word; sessions of it heard these channels.
    pub fn on_node_gone(&self, heard: &[(Box<str>, usize)]) {
        heard.iter().for_each(|(channel, count)| self.note_gone(channel, *count as u64));
    }

    /// Sessions of this node that hear the channel now, at most `limit` of them named: who asked for the channel itself before others.
    pub fn hearers(&self, channel: &Channel, limit: usize) -> Hearers {
        self.audience.hearers(channel, limit)
    }

    /// A session hears a topic from now on.
    pub(crate) fn on_joined(&self, topic: &Topic, hearing: Hearing) {
        self.note_presence(topic, PresenceEvent::Joined, hearing.session, &hearing.who);
        self.audience.add(topic, hearing);
    }

    /// A session no longer hears a topic.
    pub(crate) fn on_left(&self, topic: &Topic, session: u64, who: &Arc<Who>) {
        self.audience.remove(topic, session);
        self.note_presence(topic, PresenceEvent::Left, session, who);
    }

    /// Comings and goings that are to be told.
    pub fn comings(&self) -> &Comings {
        &self.comings
    }

    /// Patterns that sessions listen to, with the number of sessions.
    pub fn subscribed_patterns(&self) -> Vec<(Pattern, usize)> {
        self.audience.patterns()
    }

    /// What may have been meant by a pattern that matches nothing: all channels of a family with a similar name.
    pub fn suggest_pattern(&self, pattern: &str) -> Option<String> {
        let (name, _) = pattern.split_once(['*', '?', '['])?;
        let suggested = self.catalog().suggest(&format!("{name}x"))?;
        let family = suggested.split(':').next().unwrap_or_default();
        let meant = if suggested.contains(':') { format!("{family}:*") } else { family.to_string() };
        (meant != pattern).then_some(meant)
    }

    /// Channels subscribed by name, with the number of sessions.
    pub fn subscribed_channels(&self) -> impl Iterator<Item = (Channel, usize)> {
        self.audience.channels().into_iter()
    }

    /// The families.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.directory.catalog()
    }

    /// Declares these families from now on; see [`Directory::replace`].
    ///
    /// # Errors
    /// Channels in use would end; then nothing has changed.
    pub fn replace_catalog(&self, catalog: Catalog) -> Result<Replaced, Refusal> {
        self.directory.replace(catalog)
    }

    /// How many channels of each family are in use, or were a moment ago.
    pub fn count_by_family(&self) -> HashMap<String, usize, FixedState> {
        self.directory.count_by_family()
    }

    /// How often the catalogue has begun or ended to change.
    pub(crate) fn changes(&self) -> u64 {
        self.directory.changes()
    }

    /// What the changes between these two counts are about.
    pub(crate) fn concern(&self, from: u64, to: u64) -> Concern {
        self.directory.concern(from, to)
    }

    /// Bounds, as they are now.
    pub fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Sets other bounds. Those of a connection's frames hold for connections that come; that of the inboxes stays.
    pub fn replace_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Time.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Where messages are kept.
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.broker
    }

    /// Who is connected.
    pub fn registry(&self) -> &Arc<dyn Registry> {
        &self.registry
    }

    /// Small state beside messages.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Who checks tokens and keys.
    pub fn authority(&self) -> &Arc<dyn Authority> {
        &self.authority
    }

    /// Its name among hubs; another one at each start.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The hub's own counters.
    pub fn stats(&self) -> &Arc<HubStats> {
        &self.stats
    }

    /// The families that counters are kept by.
    pub fn families(&self) -> &Families {
        self.directory.families()
    }

    /// What went wrong lately.
    pub fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// What has been noticed of channels.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Tells this node's subscribers of a channel that its book was found wrong and is fetched anew: a notice
    /// `book_resync`, within a second and at most once a second.
    pub fn tell_book_resync(&self, channel: &str) {
        self.board.put_book_resync(channel);
    }

    /// Letters by source and reason; see [`Hub::give_up`].
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.dead_letters
    }

    pub(crate) fn users(&self) -> &Crowd<Arc<str>, Arc<User>> {
        &self.users
    }

    /// How short memory is.
    pub fn pressure(&self) -> &Pressure {
        &self.pressure
    }

    /// The shards' counters.
    pub fn shard_stats(&self) -> &[Arc<ShardStats>] {
        &self.shards
    }

    /// Forgets what nobody uses, and offers dead letters that wait once more; call every few seconds.
    pub fn sweep(&self) {
        self.flush_dead_letters();
        self.directory.sweep();
        self.registry.sweep();
        self.store.sweep();
    }
}
