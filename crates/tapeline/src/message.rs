//! A message as a subscriber gets it: its header, and its data as the bytes that were published.
//! Data is parsed when it is first looked at, never before.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::error::Error;
use crate::frame::{Fields, text_of};

/// A place in a channel: how far a subscriber got. Offsets count 1, 2, 3 … under an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The message's number.
    pub offset: u64,
    /// What the number counts under; another epoch voids it.
    pub epoch: Arc<str>,
}

/// One message. Cheap to clone.
#[derive(Clone)]
pub struct PubSubMessage(Arc<Inner>);

struct Inner {
    /// The frame, which the data is a part of.
    text: Utf8Bytes,
    data: Range<usize>,
    is_json: bool,
    value: OnceLock<Value>,
    kind: Box<str>,
    channel: Arc<str>,
    timestamp: Box<str>,
    id: Box<str>,
    correlation_id: Option<Box<str>>,
    place: Place,
    roll_ups: Vec<(Box<str>, Place)>,
    keys: Vec<(Box<str>, Box<str>)>,
}

/// Fields of the header; any other holds a key of the channel.
const HEADER: &[&str] = &[
    "type",
    "channel",
    "data",
    "data_b64",
    "timestamp",
    "id",
    "correlation_id",
    "offset",
    "epoch",
    "rollup",
    "owner",
];

impl PubSubMessage {
    /// `None` if the text is not a message.
    pub(crate) fn read(text: &Utf8Bytes) -> Option<Self> {
        Self::from_fields(text, &Fields::read(text)?)
    }

    /// From a frame whose fields are known already.
    pub(crate) fn from_fields(text: &Utf8Bytes, fields: &Fields<'_>) -> Option<Self> {
        let json = fields.raw("data");
        let data = json.or_else(|| fields.raw("data_b64"))?.get();
        // The data lies inside of the text, so the distance of their beginnings is its place there.
        let start = data.as_ptr().addr().checked_sub(text.as_str().as_ptr().addr())?;
        let boxed = |name| fields.text(name).map(|text| Box::<str>::from(&*text));
        let key = |(name, value): (&str, _)| Some((name.into(), text_of(value)?.as_ref().into()));
        Some(PubSubMessage(Arc::new(Inner {
            text: text.clone(),
            data: start..start + data.len(),
            is_json: json.is_some(),
            value: OnceLock::new(),
            kind: boxed("type")?,
            channel: fields.text("channel")?.as_ref().into(),
            timestamp: boxed("timestamp")?,
            id: boxed("id").unwrap_or_default(),
            correlation_id: boxed("correlation_id"),
            place: fields.place()?,
            roll_ups: roll_ups(fields),
            keys: fields.iter().filter(|(name, _)| !HEADER.contains(name)).filter_map(key).collect(),
        })))
    }

    /// The data, parsed at the first call; `null` if it nests deeper than JSON is read here. Of data that is not JSON, as a
    /// Redis client may publish under a name that nobody declared, it is the bytes in base64.
    pub fn data(&self) -> &Value {
        self.0.value.get_or_init(|| serde_json::from_str(self.data_json()).unwrap_or_default())
    }

    /// One field of the data.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.data().get(field)
    }

    /// Whether what was published is JSON.
    pub fn is_json(&self) -> bool {
        self.0.is_json
    }

    /// The data as the JSON text that was published, digit for digit; as [`PubSubMessage::data`] if it is not JSON.
    pub fn data_json(&self) -> &str {
        self.0.text.get(self.0.data.clone()).unwrap_or("null")
    }

    /// The data as a type of yours, or of [`crate::events`].
    ///
    /// # Errors
    /// [`Error::Data`] if it is something else.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let wrong =
            |error| Error::Data(format!("data of {} offset {}: {error}", self.channel(), self.offset()));
        serde_json::from_str(self.data_json()).map_err(wrong)
    }

    /// What kind of event it is: `price_update`. (`type` is a word of the language.)
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Where it was published, also for who hears it through a roll-up or a pattern.
    pub fn channel(&self) -> &str {
        &self.0.channel
    }

    pub(crate) fn shared_channel(&self) -> &Arc<str> {
        &self.0.channel
    }

    /// The channel without its key, which is the family's name: `training.status` of `training.status:exp_123`.
    pub fn topic(&self) -> &str {
        self.channel().split(':').next().unwrap_or_default()
    }

    /// A key of the channel by name: `symbol` of `market_data:AAPL` is `AAPL`.
    pub fn key(&self, name: &str) -> Option<&str> {
        self.keys().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The keys of the channel with their names.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.keys.iter().map(|(name, value)| (&**name, &**value))
    }

    /// When the hub received it: RFC 3339 in UTC, to the microsecond.
    pub fn timestamp(&self) -> &str {
        &self.0.timestamp
    }

    /// A UUID.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// What the publisher gave to follow related events by.
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.correlation_id.as_deref()
    }

    /// Its number in its channel.
    pub fn offset(&self) -> u64 {
        self.0.place.offset
    }

    /// What its number counts under.
    pub fn epoch(&self) -> &str {
        &self.0.place.epoch
    }

    /// Where to resume after it.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Its place in a roll-up that counts for itself, such as `trades`.
    pub fn place_in(&self, roll_up: &str) -> Option<&Place> {
        self.roll_ups().find(|(name, _)| *name == roll_up).map(|(_, place)| place)
    }

    pub(crate) fn roll_ups(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.0.roll_ups.iter().map(|(name, place)| (&**name, place))
    }

    /// The whole frame as it came.
    pub fn json(&self) -> &str {
        &self.0.text
    }

    /// About the memory that it takes.
    pub(crate) fn weight(&self) -> usize {
        self.0.text.len() + size_of::<Inner>()
    }
}

impl fmt::Debug for PubSubMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.json())
    }
}

fn roll_ups(fields: &Fields<'_>) -> Vec<(Box<str>, Place)> {
    let Some(marks) = fields.raw("rollup").and_then(|raw| Fields::read(raw.get())) else { return Vec::new() };
    let mark = |(name, raw): (&str, &serde_json::value::RawValue)| {
        Some((name.into(), Fields::read(raw.get())?.place()?))
    };
    marks.iter().filter_map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRADE: &str = r#"{"type":"trade","channel":"trades:p1","portfolio_id":"p1","data":{"price": 1.50,"n":[1]},
        "timestamp":"2026-01-01T12:00:00.000001Z","id":"u","correlation_id":"c","offset":42,"epoch":"k3",
        "rollup":{"trades":{"offset":99,"epoch":"k4"}},"later":{"x":1}}"#;

    fn read(text: &'static str) -> PubSubMessage {
        PubSubMessage::read(&Utf8Bytes::from_static(text)).unwrap()
    }

    #[test]
    fn the_header_is_read_and_the_data_stays_as_it_came() {
        let message = read(TRADE);
        assert_eq!(message.data_json(), r#"{"price": 1.50,"n":[1]}"#);
        assert_eq!((message.kind(), message.channel(), message.topic()), ("trade", "trades:p1", "trades"));
        assert_eq!((message.offset(), message.epoch(), message.id()), (42, "k3", "u"));
        assert_eq!(message.timestamp(), "2026-01-01T12:00:00.000001Z");
        assert_eq!(message.correlation_id(), Some("c"));
        assert_eq!(message.get("price").and_then(Value::as_f64), Some(1.5));
    }

    #[test]
    fn keys_are_the_fields_beside_the_header() {
        let message = read(TRADE);
        assert_eq!(message.keys().collect::<Vec<_>>(), [("portfolio_id", "p1")]);
        assert_eq!((message.key("portfolio_id"), message.key("symbol")), (Some("p1"), None));
    }

    #[test]
    fn a_roll_ups_own_count_is_known() {
        let message = read(TRADE);
        assert_eq!(message.place_in("trades"), Some(&Place { offset: 99, epoch: "k4".into() }));
        assert_eq!(message.place_in("orders"), None);
    }

    #[test]
    fn bytes_that_are_no_json_come_in_base64_and_keep_their_place() {
        let text = r#"{"type":"message","channel":"raw","data_b64":"AAE=","timestamp":"t","id":"i","offset":3,"epoch":"k"}"#;
        let message = PubSubMessage::read(&text.into()).unwrap();
        assert_eq!(
            (message.data(), message.is_json(), message.offset()),
            (&serde_json::json!("AAE="), false, 3)
        );
    }

    #[test]
    fn data_of_the_wrong_type_says_where_it_was() {
        let error = read(TRADE).parse::<Vec<u8>>().unwrap_err();
        assert!(error.to_string().starts_with("data of trades:p1 offset 42: "), "{error}");
    }

    #[test]
    fn what_is_no_message_is_none() {
        for text in ["", "[]", "{}", r#"{"type":"heartbeat","time":"x"}"#, r#"{"type":"t","data":1}"#] {
            assert!(PubSubMessage::read(&Utf8Bytes::from_static(text)).is_none(), "{text}");
        }
    }
}
