//! Balances to rows of `balances`, one an asset. A venue's snapshot says each asset's total with its wallets; a change is
//! a ledger entry, whose balance is that of one wallet. So that a row always means the same, the totals are kept here: an
//! entry's row has the total after it, all wallets, and the entry itself. A total that cannot be known is left away.

use std::borrow::Cow;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::feed::{Update, UpdateKind};

use super::number::Number;
use super::untold::{Untold, malformed};
use super::write::{Object, push_list};

/// Assets whose total is kept.
const ASSETS_LIMIT: usize = 16_384;
/// Wallets of an asset that are kept.
const WALLETS_LIMIT: usize = 64;

/// An asset as a snapshot says it, or an entry of the ledger.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    asset: Cow<'a, str>,
    #[serde(borrow)]
    asset_class: Option<Cow<'a, str>>,
    #[serde(borrow)]
    balance: Option<&'a RawValue>,
    #[serde(borrow, default)]
    wallets: Vec<SaidWallet<'a>>,
    #[serde(borrow)]
    wallet_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    wallet_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    #[serde(borrow)]
    fee: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SaidWallet<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    balance: &'a RawValue,
}

#[derive(Debug)]
struct Wallet {
    kind: Box<str>,
    id: Box<str>,
    balance: Number,
}

#[derive(Debug, Default)]
struct Asset {
    total: Option<Number>,
    wallets: Vec<Wallet>,
}

/// What each asset amounts to.
#[derive(Debug, Default)]
pub(super) struct Balances {
    assets: HashMap<Box<str>, Asset, FixedState>,
    /// Whether there was a snapshot: only then an asset that it did not name was nothing.
    is_whole: bool,
}

impl Balances {
    /// The rows of a snapshot or of ledger entries, as a table takes them.
    pub(super) fn data(&mut self, update: &Update) -> Result<Bytes, Untold> {
        let list: Vec<&RawValue> = update.json().map_err(|error| malformed(update, error))?;
        let read = |json: &&'_ RawValue| serde_json::from_str::<Said<'_>>(json.get()).map(drop);
        // All or nothing: totals must not follow half a message.
        list.iter().try_for_each(read).map_err(|error| malformed(update, error))?;
        let is_snapshot = update.kind == UpdateKind::Snapshot;
        if is_snapshot {
            self.assets.clear();
            self.is_whole = true;
        }
        let mut rows = Vec::with_capacity(update.data.len() + 128);
        for json in &list {
            let said: Said<'_> =
                serde_json::from_str(json.get()).map_err(|error| malformed(update, error))?;
            if !self.assets.contains_key(&*said.asset) && self.assets.len() >= ASSETS_LIMIT {
                return Err(Untold::TooMany { what: "assets", limit: ASSETS_LIMIT });
            }
            rows.extend_from_slice(if rows.is_empty() { b"" } else { b"," });
            if is_snapshot {
                self.assets.insert((*said.asset).into(), Asset::of(&said));
                rows.extend_from_slice(json.get().as_bytes());
            } else {
                let row = self.apply(&said, json);
                rows.extend_from_slice(&row);
            }
        }
        let mut data = Vec::with_capacity(rows.len() + 48);
        data.extend_from_slice(b"{\"rows\":[");
        data.extend_from_slice(&rows);
        data.extend_from_slice(b"],\"meta\":{},\"snapshot\":");
        data.extend_from_slice(if is_snapshot { b"true}" } else { b"false}" });
        Ok(data.into())
    }

    /// The row of an asset after an entry.
    fn apply(&mut self, said: &Said<'_>, json: &RawValue) -> Vec<u8> {
        let total = self.is_whole.then(Number::zero);
        let was_nothing = || Asset { total, wallets: Vec::new() };
        let asset = self.assets.entry((*said.asset).into()).or_insert_with(was_nothing);
        asset.apply(said);
        let mut object = Object::with_capacity(json.get().len() + 160).text("asset", &said.asset);
        if let Some(class) = &said.asset_class {
            object = object.text("asset_class", class);
        }
        if let Some(total) = asset.total {
            object = object.json("balance", &total.to_string());
        }
        object.with("wallets", |out| push_wallets(out, &asset.wallets)).json("entry", json.get()).end()
    }
}

fn push_wallets(out: &mut Vec<u8>, wallets: &[Wallet]) {
    push_list(out, wallets, |out, wallet| {
        let object = Object::with_capacity(64).text("type", &wallet.kind).text("id", &wallet.id);
        out.extend_from_slice(&object.json("balance", &wallet.balance.to_string()).end());
    });
}

impl Asset {
    fn of(said: &Said<'_>) -> Self {
        let wallet = |said: &SaidWallet<'_>| {
            let balance = Number::parse(said.balance.get())?;
            Some(Wallet { kind: (*said.kind).into(), id: (*said.id).into(), balance })
        };
        let wallets = said.wallets.iter().take(WALLETS_LIMIT).filter_map(wallet).collect();
        Asset { total: of(said.balance), wallets }
    }

    /// The total follows the wallet where the wallet was known, else what the entry adds less its fee.
    fn apply(&mut self, said: &Said<'_>) {
        let now = of(said.balance);
        let (kind, id) = (said.wallet_type.as_deref(), said.wallet_id.as_deref());
        let is_it = |wallet: &&mut Wallet| Some(&*wallet.kind) == kind && Some(&*wallet.id) == id;
        let has_room = self.wallets.len() < WALLETS_LIMIT;
        let wallet = self.wallets.iter_mut().find(is_it);
        let before = wallet.as_ref().map(|wallet| wallet.balance);
        let added = match (now, before) {
            (Some(now), Some(before)) => now.minus(before),
            _ => of(said.amount).and_then(|amount| match said.fee {
                Some(fee) => amount.minus(of(Some(fee))?),
                None => Some(amount),
            }),
        };
        self.total = self.total.zip(added).and_then(|(total, added)| total.plus(added));
        match (wallet, now, kind.zip(id)) {
            (Some(wallet), Some(now), _) => wallet.balance = now,
            (None, Some(balance), Some((kind, id))) if has_room => {
                self.wallets.push(Wallet { kind: kind.into(), id: id.into(), balance });
            }
            _ => {}
        }
    }
}

fn of(json: Option<&RawValue>) -> Option<Number> {
    Number::parse(json?.get())
}
