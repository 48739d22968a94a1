//! Messages of all channels but `book`: each element as it came, and beside it what says which one it is. The figures
//! in it are for whom it concerns.

use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::feed::UpdateKind;

use super::{Envelope, Message, Text, Wrong, book};

/// What a message brings, element by element.
#[derive(Clone, Debug)]
pub struct Items<'a, T> {
    /// Snapshot or update.
    pub kind: UpdateKind,
    /// The message's number on its subscription; only private channels have one.
    pub sequence: Option<u64>,
    /// When the message was written, where it says so (`ohlc`).
    pub timestamp: Option<Text<'a>>,
    /// All of `data` as it came.
    pub raw: &'a str,
    /// Its elements in order.
    pub items: Vec<Item<'a, T>>,
}

/// An element of a message.
#[derive(Clone, Debug)]
pub struct Item<'a, T> {
    /// As it came: one JSON object.
    pub raw: &'a str,
    /// What says which one it is.
    pub fields: T,
}

/// How the venue is. Its `connection_id` is left alone: it may be larger than any integer here.
#[derive(Clone, Debug, Deserialize)]
pub struct Status<'a> {
    /// `online`, `cancel_only`, `post_only`, `maintenance`; others may come.
    #[serde(borrow)]
    pub system: Text<'a>,
    /// Of the protocol: `v2`.
    #[serde(borrow, default)]
    pub api_version: Option<Text<'a>>,
    /// Of the venue's software.
    #[serde(borrow, default)]
    pub version: Option<Text<'a>>,
}

/// Prices of a day.
#[derive(Clone, Debug, Deserialize)]
pub struct Ticker<'a> {
    /// The instrument.
    #[serde(borrow)]
    pub symbol: Text<'a>,
    /// When it was so; older messages do not say.
    #[serde(borrow, default)]
    pub timestamp: Option<Text<'a>>,
}

/// A trade of anybody.
#[derive(Clone, Debug, Deserialize)]
pub struct Trade<'a> {
    /// The instrument.
    #[serde(borrow)]
    pub symbol: Text<'a>,
    /// Its number among the instrument's trades, without holes.
    pub trade_id: u64,
    /// When it was made.
    #[serde(borrow, default)]
    pub timestamp: Option<Text<'a>>,
}

/// A candle, as it is by now.
#[derive(Clone, Debug, Deserialize)]
pub struct Candle<'a> {
    /// The instrument.
    #[serde(borrow)]
    pub symbol: Text<'a>,
    /// Its length in minutes.
    pub interval: u32,
    /// When it begins.
    #[serde(borrow, default)]
    pub interval_begin: Option<Text<'a>>,
    /// When it ends; the venue calls this deprecated.
    #[serde(borrow, default)]
    pub timestamp: Option<Text<'a>>,
}

/// What has become of an order. Only what has changed is said, so most may be missing.
#[derive(Clone, Debug, Deserialize)]
pub struct Execution<'a> {
    /// Which order.
    #[serde(borrow)]
    pub order_id: Text<'a>,
    /// Which fill, where it is one.
    #[serde(borrow, default)]
    pub exec_id: Option<Text<'a>>,
    /// `new`, `trade`, `canceled`…
    #[serde(borrow, default)]
    pub exec_type: Option<Text<'a>>,
    /// `open` states and ends of the order.
    #[serde(borrow, default)]
    pub order_status: Option<Text<'a>>,
    /// The instrument.
    #[serde(borrow, default)]
    pub symbol: Option<Text<'a>>,
    /// When it happened.
    #[serde(borrow, default)]
    pub timestamp: Option<Text<'a>>,
}

/// The two forms of the channel `balances`.
#[derive(Clone, Debug)]
pub enum Balances<'a> {
    /// All that the account holds.
    Snapshot(Items<'a, Holding<'a>>),
    /// Entries of the ledger.
    Change(Items<'a, LedgerEntry<'a>>),
}

/// How much of an asset an account holds.
#[derive(Clone, Debug, Deserialize)]
pub struct Holding<'a> {
    /// The asset.
    #[serde(borrow)]
    pub asset: Text<'a>,
}

/// A change of what an account holds.
#[derive(Clone, Debug, Deserialize)]
pub struct LedgerEntry<'a> {
    /// Which entry.
    #[serde(borrow)]
    pub ledger_id: Text<'a>,
    /// Of which asset.
    #[serde(borrow)]
    pub asset: Text<'a>,
    /// When it was made.
    #[serde(borrow, default)]
    pub timestamp: Option<Text<'a>>,
}

/// What can be held and traded; an update holds what has changed.
#[derive(Clone, Debug)]
pub struct Instruments<'a> {
    /// Snapshot or update.
    pub kind: UpdateKind,
    /// All of `data` as it came.
    pub raw: &'a str,
    /// What can be held.
    pub assets: Vec<Item<'a, Asset<'a>>>,
    /// What can be traded.
    pub pairs: Vec<Item<'a, Pair<'a>>>,
}

/// What can be held.
#[derive(Clone, Debug, Deserialize)]
pub struct Asset<'a> {
    /// Its name.
    #[serde(borrow)]
    pub id: Text<'a>,
    /// `enabled`, `depositonly`…
    #[serde(borrow, default)]
    pub status: Option<Text<'a>>,
}

/// What can be traded.
#[derive(Clone, Debug, Deserialize)]
pub struct Pair<'a> {
    /// Its name.
    #[serde(borrow)]
    pub symbol: Text<'a>,
    /// `online`, `cancel_only`, `delisted`…
    #[serde(borrow, default)]
    pub status: Option<Text<'a>>,
    /// Digits after the point of its prices.
    pub price_precision: Option<u32>,
    /// Digits after the point of its quantities.
    pub qty_precision: Option<u32>,
}

/// `data` of `instrument`.
#[derive(Deserialize)]
struct Lists<'a> {
    #[serde(borrow, default)]
    assets: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    pairs: Vec<&'a RawValue>,
}

pub(super) fn read<'a>(channel: Text<'a>, envelope: Envelope<'a>) -> Result<Message<'a>, Wrong> {
    match &*channel {
        "book" => book::read(&envelope).map(Message::Book),
        "ticker" => items(envelope).map(Message::Ticker),
        "trade" => items(envelope).map(Message::Trade),
        "ohlc" => items(envelope).map(Message::Ohlc),
        "executions" => items(envelope).map(Message::Executions),
        "balances" if envelope.kind()? == UpdateKind::Snapshot => {
            items(envelope).map(Balances::Snapshot).map(Message::Balances)
        }
        "balances" => items(envelope).map(Balances::Change).map(Message::Balances),
        "instrument" => instruments(&envelope).map(Message::Instrument),
        "heartbeat" => Ok(Message::Heartbeat),
        "status" => {
            let [status]: [Status<'a>; 1] = serde_json::from_str(envelope.data()?)?;
            Ok(Message::Status(status))
        }
        _ => Ok(Message::Other { name: channel }),
    }
}

fn items<'a, T: Deserialize<'a>>(envelope: Envelope<'a>) -> Result<Items<'a, T>, Wrong> {
    let (kind, raw) = (envelope.kind()?, envelope.data()?);
    let items = each(serde_json::from_str(raw)?)?;
    Ok(Items { kind, sequence: envelope.sequence, timestamp: envelope.timestamp, raw, items })
}

fn instruments<'a>(envelope: &Envelope<'a>) -> Result<Instruments<'a>, Wrong> {
    let (kind, raw) = (envelope.kind()?, envelope.data()?);
    let lists: Lists<'a> = serde_json::from_str(raw)?;
    Ok(Instruments { kind, raw, assets: each(lists.assets)?, pairs: each(lists.pairs)? })
}

fn each<'a, T: Deserialize<'a>>(elements: Vec<&'a RawValue>) -> Result<Vec<Item<'a, T>>, Wrong> {
    let read = |element: &'a RawValue| {
        let raw = element.get();
        // A struct would be read from an array too.
        let is_object = raw.starts_with('{');
        is_object.then_some(()).ok_or_else(|| Wrong("an element is no object".into()))?;
        Ok(Item { raw, fields: serde_json::from_str(raw)? })
    };
    elements.into_iter().map(read).collect()
}
