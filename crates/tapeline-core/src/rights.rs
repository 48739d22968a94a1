//! Who somebody is and what they may: a grant is what a connection or a request holds, and every way in asks it.
//! What is not granted is refused. Tokens and keys are checked by an [`Authority`], which lives outside; this file knows
//! neither signatures nor where they come from.

use std::net::IpAddr;
use std::sync::Arc;

use tapeline_schema::{ErrorCode, Pattern, Readers};

use crate::broker::{Broker, NEWEST};
use crate::channel::Channel;
use crate::command::SubscribeOptions;
use crate::error::Refusal;
use crate::hub::Hub;
use crate::reply::Topic;
use crate::wishes::mode_of;

/// What somebody may do beside reading public families. Patterns are matched against whole channel names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rights {
    /// Channels, roll-ups and families of any kind that may be read.
    pub read: Vec<Pattern>,
    /// Channels that may be published to.
    pub publish: Vec<Pattern>,
    /// Keys of the store that may be read.
    pub store_read: Vec<Pattern>,
    /// Keys of the store that may be set and deleted.
    pub store_write: Vec<Pattern>,
    /// Values of channels' keys: `portfolio_id` → `p1`, `p2`. They open the families that are *own*.
    pub keys: Vec<(Box<str>, Vec<Box<str>>)>,
    /// Whether the hub's inside may be looked at: statistics, incidents, presence, dead letters.
    pub operator: bool,
    /// Whether the hub may be changed.
    pub admin: bool,
}

/// What an authority knows a key by; nobody else reads it.
pub type KeyMark = [u8; 16];

/// Who somebody is, once that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The token's subject, or `key:ID`. Limits are counted by it, and owners are compared with it.
    pub subject: Arc<str>,
    /// Shared by all who have equal ones.
    pub rights: Arc<Rights>,
    /// When it ends, microseconds since 1970; what it opened ends with it.
    pub until_us: Option<u64>,
    /// When it was issued, where it says so.
    pub issued_us: Option<u64>,
    /// The token's own id (`jti`), by which it alone can be revoked.
    pub token_id: Option<Box<str>>,
    /// The key by which this was shown. Who is not believed by it any more is not believed.
    pub key: Option<KeyMark>,
    /// Where it was shown from, if it counts only there.
    pub from: Option<IpAddr>,
}

/// What a connection or a request may do.
#[derive(Clone, Debug, Default)]
pub enum Grant {
    /// Everything: authentication is off, or it is the hub itself.
    #[default]
    Anyone,
    /// Nothing but to say who it is.
    Nobody,
    /// What somebody may.
    Known(Arc<Identity>),
}

/// Called once with who it is, or why that is not believed.
pub type Identified = Box<dyn FnOnce(Result<Arc<Identity>, Refusal>) + Send>;

/// Who checks what a client brings to show who it is.
pub trait Authority: Send + Sync {
    /// Whether nobody is asked, and everybody may do everything.
    fn is_off(&self) -> bool;

    /// Who brings nothing, where such are let in.
    fn anonymous(&self) -> Option<Arc<Identity>>;

    /// Checks a token or a key that came from this address. `answer` is called once, at once or from any thread.
    fn identify(&self, credential: &str, address: &str, answer: Identified);

    /// Counts changes after which somebody may have lost what they had: revocations, keys that are gone or others.
    fn revision(&self) -> u64;

    /// Whether it is no longer believed, though its time is not over.
    fn is_revoked(&self, identity: &Identity) -> bool;
}

/// Nobody is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Off;

impl Authority for Off {
    fn is_off(&self) -> bool {
        true
    }

    fn anonymous(&self) -> Option<Arc<Identity>> {
        None
    }

    fn identify(&self, _credential: &str, _address: &str, answer: Identified) {
        answer(Err(Refusal::new(ErrorCode::InvalidToken, "authentication is off; connect without a token")));
    }

    fn revision(&self) -> u64 {
        0
    }

    fn is_revoked(&self, _identity: &Identity) -> bool {
        false
    }
}

impl Identity {
    /// The one of all who bring nothing.
    pub fn stranger() -> Self {
        Identity {
            subject: "".into(),
            rights: Arc::default(),
            until_us: None,
            issued_us: None,
            token_id: None,
            key: None,
            from: None,
        }
    }

    /// Whether it is of somebody who brought nothing; no token has an empty subject.
    pub fn is_anonymous(&self) -> bool {
        self.subject.is_empty()
    }
}

impl Rights {
    /// Whether every key of the channel's name is among theirs; `user_id` is also the subject itself.
    fn has_keys_of(&self, channel: &Channel, subject: &str) -> bool {
        let keys = channel.spec().keys_of(channel.name());
        let has = |(key, value): &(&str, &str)| {
            let own = self.keys.iter().filter(|(known, _)| **known == **key);
            (*key == USER && *value == subject)
                || own.flat_map(|(_, values)| values).any(|own| **own == **value)
        };
        !keys.is_empty() && keys.iter().all(has)
    }
}

/// How keys of the store begin that are the hub's own.
pub const OWN_KEYS: &str = "tapeline:";

/// What means something else than itself in a pattern.
const SPECIAL: [char; 5] = ['*', '?', '[', ']', '\\'];

/// The key of a channel's name that is a token's subject.
const USER: &str = "user_id";

fn matches(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

/// What those are told who have not said who they are.
pub(crate) fn who_is_it() -> Refusal {
    Refusal::new(ErrorCode::InvalidToken, "say first who you are: {\"action\":\"token\",\"token\":…}")
}

impl Grant {
    /// Who it is, if that is known.
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        match self {
            Grant::Known(identity) => Some(identity),
            Grant::Anyone | Grant::Nobody => None,
        }
    }

    /// Whether the client may publish to the channel.
    ///
    /// # Errors
    /// `forbidden`, or `invalid_token` for who has not said who it is.
    pub fn may_publish(&self, channel: &Channel) -> Result<(), Refusal> {
        self.holds(
            |rights| matches(&rights.publish, channel.name()),
            || format!("publishing to {} takes a grant that names it (publish)", channel.name()),
        )
    }

    /// Whether the hub's inside may be looked at.
    ///
    /// # Errors
    /// As [`Grant::may_publish`].
    pub fn may_operate(&self) -> Result<(), Refusal> {
        self.holds(
            |rights| rights.operator || rights.admin,
            || "this is for operators (operator)".to_string(),
        )
    }

    /// Whether the hub may be changed.
    ///
    /// # Errors
    /// As [`Grant::may_publish`].
    pub fn may_administer(&self) -> Result<(), Refusal> {
        self.holds(|rights| rights.admin, || "this is for administrators (admin)".to_string())
    }

    /// Whether a key of the store may be read.
    ///
    /// # Errors
    /// As [`Grant::may_publish`].
    pub fn may_read_store(&self, key: &str) -> Result<(), Refusal> {
        self.holds(
            |rights| matches(&rights.store_read, key),
            || format!("reading {key} takes a grant that names it (store.read)"),
        )
    }

    /// Whether all keys of the store that begin so may be read: a pattern must say so as text and a `*` at its end.
    ///
    /// # Errors
    /// As [`Grant::may_publish`].
    pub fn may_list_store(&self, prefix: &str) -> Result<(), Refusal> {
        let reaches = |pattern: &Pattern| {
            let start = pattern.as_str().strip_suffix('*').filter(|start| !start.contains(SPECIAL));
            start.is_some_and(|start| prefix.starts_with(start))
        };
        self.holds(
            |rights| rights.store_read.iter().any(reaches),
            || format!("listing {prefix}* takes a grant that reaches as far (store.read)"),
        )
    }

    /// Whether a key of the store may be set and deleted.
    ///
    /// # Errors
    /// As [`Grant::may_publish`].
    pub fn may_write_store(&self, key: &str) -> Result<(), Refusal> {
        self.holds(
            |rights| matches(&rights.store_write, key),
            || format!("writing {key} takes a grant that names it (store.write)"),
        )
    }

    fn holds(&self, right: impl Fn(&Rights) -> bool, missing: impl Fn() -> String) -> Result<(), Refusal> {
        match self {
            Grant::Anyone => Ok(()),
            Grant::Nobody => Err(who_is_it()),
            Grant::Known(identity) if right(&identity.rights) => Ok(()),
            Grant::Known(_) => Err(Refusal::new(ErrorCode::Forbidden, missing())),
        }
    }
}

/// The name of the channel that this one is as open as, where it is about another.
pub(crate) fn name_it_is_about(channel: &Channel) -> Option<&str> {
    let spec = channel.spec();
    let keys = (spec.read == Readers::AsChannel).then(|| spec.keys_of(channel.name()));
    keys?.first().map(|(_, name)| *name)
}

/// Goes on when the broker has said whose the channel is, if there is one to be asked for.
pub(crate) fn learn_owner(
    broker: &Arc<dyn Broker>,
    channel: Option<Channel>,
    next: impl FnOnce() + Send + 'static,
) {
    match channel {
        Some(channel) => broker.read(&channel, NEWEST, 1, Box::new(move |_| next())),
        None => next(),
    }
}

impl Hub {
    /// Whether the channel, or the roll-up under its own name, may be read. Where its family is its owner's, the channel's
    /// owner must be known by now: ask after the broker has answered.
    ///
    /// # Errors
    /// `forbidden`, or `invalid_token` for who has not said who it is.
    pub fn may_read(&self, grant: &Grant, channel: &Channel) -> Result<(), Refusal> {
        let Grant::Known(identity) = grant else { return grant.holds(|_| true, String::new) };
        // A channel that was looked up before its family changed is judged as it is now.
        let channel = channel.current();
        if self.reads(identity, channel) {
            return Ok(());
        }
        let name = channel.name();
        let missing = match channel.spec().read {
            Readers::Public => format!("{name} is public"),
            Readers::Own => {
                format!("{name} is for whom a token names by its key (keys), or takes a grant (read)")
            }
            Readers::Owner => format!("{name} is for its owner, or takes a grant (read)"),
            Readers::Operator => format!("{name} takes a grant that names it (read)"),
            Readers::AsChannel => format!("{name} is for who may read the channel that it is about"),
        };
        Err(Refusal::new(ErrorCode::Forbidden, missing))
    }

    fn reads(&self, identity: &Identity, channel: &Channel) -> bool {
        let rights = &identity.rights;
        let by_rule = match channel.spec().read {
            Readers::Public => true,
            Readers::Own => rights.has_keys_of(channel, &identity.subject),
            Readers::Owner => channel.owner().is_some_and(|owner| *owner == *identity.subject),
            Readers::Operator => false,
            Readers::AsChannel => self.reads_what_it_is_about(identity, channel),
        };
        by_rule || matches(&rights.read, channel.name())
    }

    /// A channel about another is as open as that one; a roll-up of such is heard source by source.
    fn reads_what_it_is_about(&self, identity: &Identity, channel: &Channel) -> bool {
        if channel.is_roll_up() && !channel.counts_for_itself() {
            return true;
        }
        // What is about what is about something is nobody's question.
        let about = self.about(channel).filter(|about| about.spec().read != Readers::AsChannel);
        about.is_some_and(|about| self.reads(identity, &about))
    }

    fn about(&self, channel: &Channel) -> Option<Channel> {
        name_it_is_about(channel).and_then(|name| self.channel(name).ok())
    }

    /// The channel whose owner decides who may read this one: itself, or the one that it is about.
    pub(crate) fn deciding(&self, channel: &Channel) -> Option<Channel> {
        let decides = match channel.spec().read {
            Readers::Owner => Some(channel.clone()),
            Readers::AsChannel => self.about(channel),
            Readers::Public | Readers::Own | Readers::Operator => None,
        };
        decides.filter(Channel::takes_owner)
    }

    /// The channel that this one is about, where that is its owner's and this node has not been told whose. The broker
    /// tells it with whatever is read of it: ask for that before [`Hub::may_read`].
    pub fn owner_to_learn(&self, grant: &Grant, channel: &Channel) -> Option<Channel> {
        let channel = channel.current();
        let is_about_another = grant.identity().is_some() && channel.spec().read == Readers::AsChannel;
        self.deciding(channel).filter(|decides| is_about_another && decides.owner().is_none())
    }

    /// Whether a client may ask to hear the channel so. Where that hangs on an owner that is still to be found out, it is
    /// said later.
    ///
    /// # Errors
    /// As [`Hub::may_read`]; `unsupported_delivery` where the family cannot give what is asked for.
    pub fn may_hear(
        &self,
        grant: &Grant,
        channel: &Channel,
        options: &SubscribeOptions,
    ) -> Result<(), Refusal> {
        mode_of(channel, options.delivery, options.max_rate)?;
        self.may_subscribe(grant, &Topic::Channel(channel.clone()))
    }

    /// Whether the topic may be subscribed. A pattern is heard source by source, so everybody who is somebody may ask.
    /// Where a channel is its owner's, [`Hub::may_read`] is asked again when the broker has answered.
    pub(crate) fn may_subscribe(&self, grant: &Grant, topic: &Topic) -> Result<(), Refusal> {
        match topic {
            Topic::Pattern(_) => grant.holds(|_| true, String::new),
            Topic::Channel(channel)
                if channel.takes_owner() || self.owner_to_learn(grant, channel).is_some() =>
            {
                grant.holds(|_| true, String::new)
            }
            Topic::Channel(channel) => self.may_read(grant, channel),
        }
    }
}
