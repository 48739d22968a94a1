//! What a client asks for, decoded at the edge and never looked at as text again.
//! It does not know in which protocol it was said.

use bytes::Bytes;
use tapeline_schema::Delivery;

/// The client's own mark on a request, one JSON value echoed as it came.
pub type Req = Option<Box<str>>;

/// An event to publish, as a client or a feed states it. The channel's name may be borrowed: once the channel is
/// found, nobody needs it.
#[derive(Clone, Debug, Default)]
pub struct Publication<Name = Box<str>> {
    /// The channel's name.
    pub channel: Name,
    /// Its type, where it is not the family's own.
    pub kind: Option<Box<str>>,
    /// One JSON value, or any bytes where `raw` says that nobody has looked.
    pub data: Bytes,
    /// Carried end to end.
    pub correlation_id: Option<Box<str>>,
    /// A repeat within five minutes is answered with the first offset.
    pub idempotency_key: Option<Box<str>>,
    /// Whose channel it is, where the family is read by its channels' owners; without it the data may say so.
    pub owner: Option<Box<str>>,
    /// It came from the channel's plain name in Redis, where others have it already.
    pub from_plain_name: bool,
    /// Nobody has checked that the data is JSON. What is not is taken by channels of undeclared names only.
    pub raw: bool,
}

impl<Name> Publication<Name> {
    /// The same without its channel's name, and the name.
    pub fn split(self) -> (Publication<()>, Name) {
        let Publication { channel, kind, data, correlation_id, idempotency_key, owner, from_plain_name, raw } =
            self;
        let nameless = Publication {
            channel: (),
            kind,
            data,
            correlation_id,
            idempotency_key,
            owner,
            from_plain_name,
            raw,
        };
        (nameless, channel)
    }
}

impl Publication<()> {
    /// The same to this channel.
    pub fn named<Name>(self, channel: Name) -> Publication<Name> {
        let Publication {
            channel: (),
            kind,
            data,
            correlation_id,
            idempotency_key,
            owner,
            from_plain_name,
            raw,
        } = self;
        Publication { channel, kind, data, correlation_id, idempotency_key, owner, from_plain_name, raw }
    }
}

/// A place in a channel that a client has reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// The last offset it has.
    pub offset: u64,
    /// What that offset counted under; absent means "the current one".
    pub epoch: Option<Box<str>>,
}

/// What a subscriber asks to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A channel or a roll-up, by name.
    Channel(Box<str>),
    /// Every channel whose name matches this glob.
    Pattern(Box<str>),
}

/// How a subscriber asks to hear it.
#[derive(Clone, Debug, Default)]
pub struct SubscribeOptions {
    /// Another delivery than the family's.
    pub delivery: Option<Delivery>,
    /// At most so many messages a second per source channel, one of the contract's steps.
    pub max_rate: Option<u32>,
    /// Resume after this place.
    pub since: Option<Since>,
    /// Resume a pattern: a place per channel.
    pub since_each: Vec<(Box<str>, Since)>,
    /// With `since_each`, or instead of `since`: channels not listed are replayed from this time, microseconds since 1970.
    /// Of what is delivered by its newest value, that comes in any case.
    pub since_time_us: Option<u64>,
    /// The wire's own mark of the subscription, see [`Way::tag`](crate::message::Way::tag).
    pub tag: u8,
}

impl Command {
    /// The client's mark.
    pub fn req(&self) -> &Req {
        match self {
            Command::Subscribe { req, .. }
            | Command::Unsubscribe { req, .. }
            | Command::UnsubscribeAll { req }
            | Command::Publish { req, .. }
            | Command::History { req, .. }
            | Command::Last { req, .. }
            | Command::List { req }
            | Command::Token { req, .. }
            | Command::Ping { req } => req,
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub enum Command {
    /// Start hearing, or change how.
    Subscribe {
        /// One confirmation or error each.
        wanted: Vec<Wanted>,
        /// The same for all of them.
        options: Box<SubscribeOptions>,
        /// Echoed.
        req: Req,
    },
    /// Stop hearing.
    Unsubscribe {
        /// One confirmation each.
        wanted: Vec<Wanted>,
        /// Echoed.
        req: Req,
    },
    /// Stop hearing everything.
    UnsubscribeAll {
        /// Echoed.
        req: Req,
    },
    /// Say something.
    Publish {
        /// What.
        publication: Box<Publication>,
        /// Echoed; without it there is no answer.
        req: Req,
    },
    /// Read what is kept.
    History {
        /// The channel's name.
        channel: Box<str>,
        /// Only what came after.
        since: Option<Since>,
        /// At most so many messages.
        limit: Option<usize>,
        /// Echoed.
        req: Req,
    },
    /// Read the newest message.
    Last {
        /// The channel's name.
        channel: Box<str>,
        /// Echoed.
        req: Req,
    },
    /// Name the subscriptions.
    List {
        /// Echoed.
        req: Req,
    },
    /// Say who it is, or go on being it with a new token.
    Token {
        /// A token or a key.
        token: Box<str>,
        /// Echoed.
        req: Req,
    },
    /// Answer at once.
    Ping {
        /// Echoed.
        req: Req,
    },
}
