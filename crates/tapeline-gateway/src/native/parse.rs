//! From a text frame to a command. The frame is read once; `data` stays the bytes that came.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tapeline_core::command::{Command, Publication, Req, Since, SubscribeOptions, Wanted};
use tapeline_core::error::Refusal;
use tapeline_schema::{Delivery, ErrorCode, round_rate};

use crate::form::{self, Object};

/// Bytes of a `req`.
const REQ_LIMIT: usize = 256;

/// A frame that is no command.
pub(super) struct ParseError {
    pub refusal: Refusal,
    /// The client's mark, if it could be read.
    pub req: Req,
}

/// A string that is borrowed from the frame where it has no escapes.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;
        impl<'de> Visitor<'de> for AnyText {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_string())))
            }
        }
        deserializer.deserialize_str(AnyText)
    }
}

impl Text<'_> {
    pub(crate) fn boxed(self) -> Box<str> {
        self.0.into()
    }
}

/// JSON text as it came, `null` included, which an `Option` would take for "absent".
pub(crate) fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Default, Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    action: Option<Text<'a>>,
    #[serde(borrow)]
    channel: Option<Text<'a>>,
    #[serde(borrow)]
    symbol: Option<Text<'a>>,
    #[serde(borrow)]
    channels: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pattern: Option<Text<'a>>,
    #[serde(borrow)]
    since: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<Text<'a>>,
    max_rate: Option<f64>,
    #[serde(borrow)]
    delivery: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "raw")]
    req: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "raw")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    correlation_id: Option<Text<'a>>,
    #[serde(borrow)]
    idempotency_key: Option<Text<'a>>,
    #[serde(borrow)]
    owner: Option<Text<'a>>,
    limit: Option<usize>,
    all: Option<bool>,
    #[serde(borrow)]
    token: Option<Text<'a>>,
}

/// Reads one frame.
pub(super) fn parse(text: &str) -> Result<Command, ParseError> {
    let frame: Frame<'_> = form::object(text).map_err(|refusal| ParseError { refusal, req: None })?;
    let req: Req = match frame.req {
        Some(raw) if raw.get().len() > REQ_LIMIT => {
            let message = format!("req is {} bytes, the limit is {REQ_LIMIT}", raw.get().len());
            return Err(ParseError { refusal: Refusal::new(ErrorCode::InvalidRequest, message), req: None });
        }
        Some(raw) => Some(raw.get().into()),
        None => None,
    };
    command(frame, &req).map_err(|refusal| ParseError { refusal, req })
}

/// What a client says beside an action's name, where a protocol has a place of its own for that.
pub(crate) enum Said<'a> {
    /// The action alone.
    Nothing,
    /// A channel's name, or a token.
    Name(Text<'a>),
    /// Channels' names.
    Names(Vec<Text<'a>>),
    /// The fields of a frame, as JSON; its `action` and `req` are not looked at.
    Object(&'a str),
}

/// The command of an action that is named apart from what is said with it.
///
/// # Errors
/// No action is called so, or what is said is not what it takes.
pub(crate) fn command_of(action: &str, said: Said<'_>, req: Req) -> Result<Command, Refusal> {
    let mut frame = match said {
        Said::Nothing => Frame::default(),
        Said::Name(token) if action == "token" => Frame { token: Some(token), ..Frame::default() },
        Said::Name(channel) => Frame { channel: Some(channel), ..Frame::default() },
        Said::Names(channels) => Frame { channels: Some(channels), ..Frame::default() },
        Said::Object(text) => form::object(text)?,
    };
    frame.action = Some(Text(Cow::Borrowed(action)));
    command(frame, &req)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}

fn command(mut frame: Frame<'_>, req: &Req) -> Result<Command, Refusal> {
    let action = frame.action.take().ok_or_else(|| invalid("action is missing"))?;
    let req = req.clone();
    Ok(match &*action.0 {
        "publish" => return publish(frame, req),
        "subscribe" => {
            let options = Box::new(options(&frame)?);
            Command::Subscribe { wanted: wanted(frame)?, options, req }
        }
        "unsubscribe" if frame.all == Some(true) => Command::UnsubscribeAll { req },
        "unsubscribe" => Command::Unsubscribe { wanted: wanted(frame)?, req },
        "history" => {
            let since = frame.since.map(|raw| since_of(raw.get())).transpose()?;
            Command::History {
                channel: one_channel(frame.channel, frame.symbol)?,
                since,
                limit: frame.limit,
                req,
            }
        }
        "last" => Command::Last { channel: one_channel(frame.channel, frame.symbol)?, req },
        "list" => Command::List { req },
        "ping" => Command::Ping { req },
        "token" => {
            let token = frame.token.ok_or_else(|| invalid("token is missing"))?;
            Command::Token { token: token.boxed(), req }
        }
        unknown => {
            let known = "subscribe, unsubscribe, publish, history, last, list, ping, token";
            let unknown: String = unknown.chars().take(64).collect();
            return Err(Refusal::new(
                ErrorCode::UnknownAction,
                format!("unknown action {unknown:?}; known: {known}"),
            ));
        }
    })
}

fn publish(frame: Frame<'_>, req: Req) -> Result<Command, Refusal> {
    let data = frame.data.ok_or_else(|| Refusal::new(ErrorCode::InvalidData, "data is missing"))?;
    let publication = Publication {
        channel: one_channel(frame.channel, frame.symbol)?,
        kind: frame.kind.map(Text::boxed),
        data: Bytes::copy_from_slice(data.get().as_bytes()),
        correlation_id: frame.correlation_id.map(Text::boxed),
        idempotency_key: frame.idempotency_key.map(Text::boxed),
        owner: frame.owner.map(Text::boxed),
        from_plain_name: false,
        raw: false,
    };
    Ok(Command::Publish { publication: Box::new(publication), req })
}

fn orderbook(symbol: &str) -> Box<str> {
    format!("orderbook:{symbol}").into()
}

fn one_channel(channel: Option<Text<'_>>, symbol: Option<Text<'_>>) -> Result<Box<str>, Refusal> {
    match (channel, symbol) {
        (Some(channel), _) => Ok(channel.boxed()),
        (None, Some(symbol)) => Ok(orderbook(&symbol.0)),
        (None, None) => Err(invalid("channel is missing")),
    }
}

fn wanted(frame: Frame<'_>) -> Result<Vec<Wanted>, Refusal> {
    let mut wanted = Vec::new();
    if frame.channel.is_some() || frame.symbol.is_some() {
        wanted.push(Wanted::Channel(one_channel(frame.channel, frame.symbol)?));
    }
    wanted.extend(frame.channels.into_iter().flatten().map(|channel| Wanted::Channel(channel.boxed())));
    wanted.extend(frame.pattern.map(|pattern| Wanted::Pattern(pattern.boxed())));
    if wanted.is_empty() {
        return Err(invalid("channel, channels, symbol or pattern is missing"));
    }
    Ok(wanted)
}

fn options(frame: &Frame<'_>) -> Result<SubscribeOptions, Refusal> {
    let delivery = match frame.delivery.as_ref().map(|delivery| &*delivery.0) {
        None => None,
        Some("latest") => Some(Delivery::Latest),
        Some("table") => Some(Delivery::Table),
        Some("every") => Some(Delivery::Every),
        Some(_) => return Err(invalid("delivery is not one of latest, table, every")),
    };
    let max_rate = match frame.max_rate {
        None => None,
        Some(rate) => {
            let step = round_rate(rate);
            Some(step.ok_or_else(|| invalid(format!("max_rate is {rate}, the least is 1 a second")))?)
        }
    };
    let mut options = SubscribeOptions { delivery, max_rate, ..SubscribeOptions::default() };
    if let Some(time) = &frame.time {
        options.since_time_us = Some(parse_time(&time.0)?);
    }
    if let Some(since) = frame.since {
        read_since(since.get(), frame.pattern.is_some(), &mut options)?;
    }
    Ok(options)
}

/// `{"offset","epoch"}`, or a number that is an offset.
pub(crate) fn since_of(text: &str) -> Result<Since, Refusal> {
    #[derive(Deserialize)]
    struct Place {
        offset: u64,
        epoch: Option<String>,
    }
    if let Ok(offset) = serde_json::from_str::<u64>(text) {
        return Ok(Since { offset, epoch: None });
    }
    let place: Object<Place> =
        serde_json::from_str(text).map_err(|error| invalid(format!("since: {error}")))?;
    let place = place.0;
    Ok(Since { offset: place.offset, epoch: place.epoch.map(Into::into) })
}

/// One place, or with a pattern a place per channel and perhaps `"time"`.
fn read_since(text: &str, is_pattern: bool, options: &mut SubscribeOptions) -> Result<(), Refusal> {
    if !is_pattern && let Ok(since) = since_of(text) {
        options.since = Some(since);
        return Ok(());
    }
    read_places(text, options)
}

/// A place per channel, and perhaps `"time"`.
pub(crate) fn read_places(text: &str, options: &mut SubscribeOptions) -> Result<(), Refusal> {
    let each: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| invalid(format!("since: {error}")))?;
    for (name, place) in each {
        if name == "time" && place.get().starts_with('"') {
            let time: String =
                serde_json::from_str(place.get()).map_err(|error| invalid(error.to_string()))?;
            options.since_time_us = Some(parse_time(&time)?);
        } else {
            options.since_each.push((name.into(), since_of(place.get())?));
        }
    }
    Ok(())
}

/// RFC 3339 to microseconds since 1970.
pub(crate) fn parse_time(text: &str) -> Result<u64, Refusal> {
    let time: jiff::Timestamp =
        text.parse().map_err(|_| invalid("time is not RFC 3339, such as 2026-01-01T12:00:00Z"))?;
    u64::try_from(time.as_microsecond()).map_err(|_| invalid("time is before 1970"))
}
