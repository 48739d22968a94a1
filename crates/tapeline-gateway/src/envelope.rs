//! A publish as it is said over HTTP, and the receipt that answers it.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::channel::push_json_string;
use tapeline_core::command::Publication;
use tapeline_core::message::push_number;
use tapeline_core::{Epoch, Hub, Receipt, Refusal};
use tapeline_schema::ErrorCode;

use crate::native::{Text, raw};

/// One publish, borrowed from the body.
#[derive(Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(borrow)]
    channel: Text<'a>,
    #[serde(borrow, default, deserialize_with = "raw")]
    data: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    correlation_id: Option<Text<'a>>,
    #[serde(borrow)]
    idempotency_key: Option<Text<'a>>,
    #[serde(borrow)]
    owner: Option<Text<'a>>,
}

impl Envelope<'_> {
    /// The channel's name.
    pub(crate) fn name(&self) -> &str {
        &self.channel.0
    }

    /// What is to be published. The data is copied: a kept message must not keep the whole body in memory.
    pub(crate) fn publication(&self) -> Result<Publication<&str>, Refusal> {
        let data = self.data.ok_or_else(|| Refusal::new(ErrorCode::InvalidData, "data is missing"))?;
        let label = |text: &Option<Text<'_>>| text.as_ref().map(|text| Box::from(&*text.0));
        Ok(Publication {
            channel: self.name(),
            kind: label(&self.kind),
            data: Bytes::copy_from_slice(data.get().as_bytes()),
            correlation_id: label(&self.correlation_id),
            idempotency_key: label(&self.idempotency_key),
            owner: label(&self.owner),
            from_plain_name: false,
            raw: false,
        })
    }
}

/// What the answers to publishes of one channel have in common, made once.
pub(crate) struct Answers<'a> {
    name: &'a str,
    epoch: Epoch,
    text: Vec<u8>,
    /// Where in `text` the offset goes.
    offset_at: usize,
    /// Where in `text` the id goes.
    id_at: usize,
}

impl<'a> Answers<'a> {
    /// For one channel, with the subscribers that it has now.
    pub(crate) fn new(name: &'a str, epoch: &Epoch, hub: &Hub) -> Self {
        let mut text = Vec::with_capacity(name.len() + 128);
        text.extend_from_slice(b"{\"channel\":");
        push_json_string(&mut text, name);
        text.extend_from_slice(b",\"offset\":");
        let offset_at = text.len();
        text.extend_from_slice(b",\"epoch\":");
        push_json_string(&mut text, epoch);
        text.extend_from_slice(b",\"id\":\"");
        let id_at = text.len();
        text.extend_from_slice(b"\",\"subscribers\":");
        push_number(&mut text, hub.channel(name).map_or(0, |channel| hub.subscribers(&channel)) as u64);
        Answers { name, epoch: epoch.clone(), text, offset_at, id_at }
    }

    /// Whether a receipt of this channel can be answered so.
    pub(crate) fn fit(&self, name: &str, receipt: &Receipt) -> bool {
        self.name == name && self.epoch == receipt.epoch
    }

    /// Appends one answer.
    pub(crate) fn push(&self, out: &mut Vec<u8>, receipt: &Receipt) {
        if receipt.held {
            return self.push_held(out, receipt);
        }
        let part = |range: Range<usize>| self.text.get(range).unwrap_or_default();
        out.extend_from_slice(part(0..self.offset_at));
        push_number(out, receipt.offset);
        out.extend_from_slice(part(self.offset_at..self.id_at));
        let mut text = [0; 36];
        out.extend_from_slice(receipt.id.hyphenated().encode_lower(&mut text).as_bytes());
        out.extend_from_slice(part(self.id_at..self.text.len()));
        if receipt.duplicate {
            out.extend_from_slice(b",\"duplicate\":true");
        }
        out.push(b'}');
    }

    /// It has no place yet.
    fn push_held(&self, out: &mut Vec<u8>, receipt: &Receipt) {
        out.extend_from_slice(b"{\"channel\":");
        push_json_string(out, self.name);
        out.extend_from_slice(b",\"id\":\"");
        let mut text = [0; 36];
        out.extend_from_slice(receipt.id.hyphenated().encode_lower(&mut text).as_bytes());
        out.extend_from_slice(b"\",\"held\":true}");
    }
}
