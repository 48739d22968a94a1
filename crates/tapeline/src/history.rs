//! Kept messages, as the hub answers them.

use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::frame::Fields;
use crate::message::{Place, PubSubMessage};

/// Kept messages of one channel, in order.
#[derive(Clone, Debug)]
pub struct History {
    /// What their offsets count under.
    pub epoch: String,
    /// In order.
    pub messages: Vec<PubSubMessage>,
    /// Where to go on; absent at the end.
    pub next: Option<Place>,
}

impl History {
    pub(crate) fn read(text: &Utf8Bytes) -> Option<Self> {
        let fields = Fields::read(text)?;
        let epoch = fields.text("epoch")?.into_owned();
        let next = fields.number("next").map(|offset| Place { offset, epoch: epoch.as_str().into() });
        let messages = fields.list("messages").into_iter().filter_map(message).collect();
        Some(History { epoch, messages, next })
    }
}

pub(crate) fn read_last(text: &Utf8Bytes) -> Option<PubSubMessage> {
    message(Fields::read(text)?.raw("message")?)
}

/// A message inside of another frame; a copy, so that one message does not keep the whole page.
pub(crate) fn message(raw: &RawValue) -> Option<PubSubMessage> {
    PubSubMessage::read(&Utf8Bytes::from(raw.get().to_string()))
}
