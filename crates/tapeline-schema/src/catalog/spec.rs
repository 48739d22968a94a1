//! One row of the catalogue: what a family's channels are called and how their messages matter.
//!
//! Owns the defaults of a row and how they are changed.
//! Refuses to know other rows; whether a row is sound and fits in is checked when it is added.

use std::sync::Arc;
use std::time::Duration;

use super::{Compress, Delivery, Priority, Publishers, Readers};
use crate::events::EventSchema;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const FORTNIGHT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Messages an `every` family keeps, and rows a `table` holds, where its row does not say.
const EVERY_COUNT: usize = 1_000;
const TABLE_ROWS: usize = 10_000;
/// Bytes of rows that a `table` holds where its row does not say: all of them go out as one message.
const TABLE_BYTES: usize = 4 << 20;

/// How much of a channel is kept; whatever is reached first ends it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keep {
    /// Messages, for a `table` rows; a plain `latest` keeps 1.
    pub count: usize,
    /// How long, or without end.
    pub age: Option<Duration>,
    /// How many bytes of payload, or without end.
    pub bytes: Option<usize>,
}

/// A row that has this value there is deleted: a price level whose quantity is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct RemovedWhen {
    /// The field's name, or its place in an array.
    pub field: String,
    /// A JSON number, string, `true`, `false` or `null`; numbers compare as numbers.
    pub equals: String,
}

/// A family: all channels of one template, or a bare name as a family of one.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelSpec {
    /// `ohlc:{symbol}:{interval}`, or a bare name.
    pub template: String,
    /// The text before the first colon.
    pub family: String,
    /// The names of the key fields, in the template's order.
    pub keys: Vec<String>,
    /// The `type` of its messages.
    pub kind: String,
    /// How urgent.
    pub priority: Priority,
    /// What a subscriber gets who asks for nothing else.
    pub delivery: Delivery,
    /// What is kept of each channel.
    pub keep: Keep,
    /// How many kept messages a new `every` subscriber gets without `since`.
    pub replay_on_subscribe: usize,
    /// The names that collect this family's channels.
    pub rolls_up_to: Vec<String>,
    /// The fields, or places in an array, that tell a `table`'s rows apart.
    pub row_key: Vec<String>,
    /// What its payloads, or a `table`'s rows, look like; without one any JSON is taken.
    pub schema: Option<Arc<EventSchema>>,
    /// Which rows a `table` loses, beside those that say `"removed":true`.
    pub removed_when: Option<RemovedWhen>,
    /// Messages a second for a subscriber who asks for no rate, or as they come.
    pub max_rate: Option<u32>,
    /// Whether messages are compressed for clients that can take it.
    pub compress: Compress,
    /// After how long without a message a channel may be forgotten.
    pub idle_ttl: Duration,
    /// Who may read.
    pub read: Readers,
    /// Who may publish.
    pub publish: Publishers,
    /// Whether the catalogue has this row; false only for the row of undeclared names.
    pub declared: bool,
}

impl ChannelSpec {
    /// Whether channels of the one row can go on with the other. What is listed here is asked for anew each time it is
    /// needed; by everything else messages, queues and subscriptions have been made.
    pub fn differs_only_live(&self, other: &Self) -> bool {
        let as_other = Self {
            keep: other.keep,
            replay_on_subscribe: other.replay_on_subscribe,
            schema: other.schema.clone(),
            max_rate: other.max_rate,
            compress: other.compress,
            idle_ttl: other.idle_ttl,
            read: other.read,
            publish: other.publish,
            ..self.clone()
        };
        as_other == *other
    }

    /// A row with the defaults of its delivery: public, kept as [`Keep`] says, no roll-up.
    pub fn of(template: &str, kind: &str, priority: Priority, delivery: Delivery) -> Self {
        let mut parts = template.split(':');
        let family = parts.next().unwrap_or_default().to_owned();
        let key = |part: &str| {
            let name = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            name.unwrap_or(part).to_owned()
        };
        let count = match delivery {
            Delivery::Latest => 1,
            Delivery::Table => TABLE_ROWS,
            Delivery::Every => EVERY_COUNT,
        };
        Self {
            template: template.to_owned(),
            family,
            keys: parts.map(key).collect(),
            kind: kind.to_owned(),
            priority,
            delivery,
            keep: Keep { count, age: None, bytes: (delivery == Delivery::Table).then_some(TABLE_BYTES) },
            replay_on_subscribe: 0,
            rolls_up_to: Vec::new(),
            row_key: Vec::new(),
            schema: None,
            removed_when: None,
            max_rate: None,
            compress: Compress::Auto,
            idle_ttl: FORTNIGHT,
            read: Readers::Public,
            publish: Publishers::FeedOrGrant,
            declared: true,
        }
    }

    /// The row of all names that no family declares; its template `*` can be no channel.
    pub fn undeclared() -> Self {
        let spec = Self::of("*", "message", Priority::Medium, Delivery::Every).keep(256, MINUTE);
        Self { family: "undeclared".to_owned(), declared: false, ..spec }
            .publish(Publishers::Anyone)
            .idle_ttl(HOUR)
    }

    /// Sets how much is kept. An `every` channel is then forgotten at that age, or after 14 days.
    #[must_use]
    pub fn keep(mut self, count: usize, age: impl Into<Option<Duration>>) -> Self {
        self.keep.count = count;
        self.keep.age = age.into();
        if self.delivery == Delivery::Every {
            self.idle_ttl = self.keep.age.unwrap_or(FORTNIGHT);
        }
        self
    }

    /// Bounds the payload bytes that are kept.
    #[must_use]
    pub fn keep_bytes(mut self, bytes: usize) -> Self {
        self.keep.bytes = Some(bytes);
        self
    }

    /// Gives a new `every` subscriber the last messages, without `since`.
    #[must_use]
    pub fn replay_on_subscribe(mut self, count: usize) -> Self {
        self.replay_on_subscribe = count;
        self
    }

    /// Names the roll-ups.
    #[must_use]
    pub fn rolls_up_to(mut self, names: &[&str]) -> Self {
        self.rolls_up_to = names.iter().copied().map(str::to_owned).collect();
        self
    }

    /// Names the fields that tell a `table`'s rows apart.
    #[must_use]
    pub fn keyed_by(mut self, row_key: &[&str]) -> Self {
        self.row_key = row_key.iter().copied().map(str::to_owned).collect();
        self
    }

    /// Says what its payloads, or a `table`'s rows, look like.
    #[must_use]
    pub fn schema(mut self, schema: EventSchema) -> Self {
        self.schema = Some(Arc::new(schema));
        self
    }

    /// Says which value in which field deletes a `table`'s row; the value is written as JSON.
    #[must_use]
    pub fn removed_when(mut self, field: &str, equals: &str) -> Self {
        self.removed_when = Some(RemovedWhen { field: field.to_owned(), equals: equals.to_owned() });
        self
    }

    /// Sets the default rate of a subscriber, a second.
    #[must_use]
    pub fn max_rate(mut self, per_second: u32) -> Self {
        self.max_rate = Some(per_second);
        self
    }

    /// Sets whether messages are compressed for clients that can take it.
    #[must_use]
    pub fn compress(mut self, compress: Compress) -> Self {
        self.compress = compress;
        self
    }

    /// Sets after how long without a message a channel may be forgotten; call it after [`Self::keep`].
    #[must_use]
    pub fn idle_ttl(mut self, idle_ttl: Duration) -> Self {
        self.idle_ttl = idle_ttl;
        self
    }

    /// Sets who reads, and with it who publishes: public families feeds or a grant, all others a grant.
    #[must_use]
    pub fn read(mut self, read: Readers) -> Self {
        self.read = read;
        self.publish = match read {
            Readers::Public => Publishers::FeedOrGrant,
            Readers::Own | Readers::Owner | Readers::Operator | Readers::AsChannel => Publishers::Grant,
        };
        self
    }

    /// Sets who publishes; call it after [`Self::read`].
    #[must_use]
    pub fn publish(mut self, publish: Publishers) -> Self {
        self.publish = publish;
        self
    }
}
