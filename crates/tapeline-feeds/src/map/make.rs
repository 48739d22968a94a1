//! Makes of one update what a row of the map says, and gathers what is made. It does not know which rows there are.

use bytes::Bytes;
use tapeline_core::command::Publication;
use tapeline_core::feed::{Update, UpdateKind};

use super::balances::Balances;
use super::config::{Active, Plan};
use super::orders::{self, Order};
use super::price::Prices;
use super::table::Making;
use super::template::Filling;
use super::untold::{Untold, malformed};
use super::write::Object;
use super::{candle, trade};

/// The longest id that becomes an idempotency key, in bytes: the hub takes no longer one.
const KEY_LIMIT: usize = 256;
/// Bytes of candles in one message at most, well below what a hub takes.
const CANDLES_BYTES: usize = 128 * 1024;

/// Candles of one channel on their way to be one message.
struct Candles {
    channel: Box<str>,
    rows: Vec<u8>,
}

/// Where publications go.
pub(super) struct Out<'a> {
    pub(super) due: &'a mut Vec<Publication>,
    candles: Option<Candles>,
    pub(super) untold: Vec<Untold>,
}

/// Makes of one update what one row says.
pub(super) struct Maker<'a> {
    pub(super) plan: &'a Plan,
    pub(super) active: &'a Active,
    pub(super) update: &'a Update,
}

impl Maker<'_> {
    pub(super) fn make(
        &self,
        prices: &mut Prices,
        balances: &mut Balances,
        out: &mut Out<'_>,
    ) -> Result<(), Untold> {
        let update = self.update;
        match self.active.row.making {
            Making::Price => {
                let symbol = self.symbol()?;
                // The name first: what cannot be published must not be remembered.
                let channel = self.channel(Filling { symbol, ..self.plan.filling() })?;
                out.publish(channel, prices.data(update, symbol)?);
            }
            Making::Trade => {
                let symbol = self.symbol()?;
                let channel = self.channel(Filling { symbol, ..self.plan.filling() })?;
                out.push(self.once(channel, trade::data(update, symbol)?));
            }
            Making::Candle => self.candle(out)?,
            Making::Execution => {
                let channel = self.channel(self.plan.filling())?;
                let data = orders::execution(update, self.renamed(&Order::of(update)?))?;
                out.push(self.owned(channel, data));
            }
            Making::OrderStatus => self.order_status(out)?,
            Making::Balances => {
                let channel = self.channel(self.plan.filling())?;
                out.push(self.owned(channel, balances.data(update)?));
            }
            Making::Heartbeat => {
                let data = Object::with_capacity(48).text("source", &self.plan.source).bytes();
                out.publish(self.channel(self.plan.filling())?, data);
            }
            Making::AsSent => {
                let symbol = update.symbol.as_deref().map_or("", |symbol| self.plan.name_of(symbol));
                let filling = Filling { symbol, channel: update.channel.name(), ..self.plan.filling() };
                out.push(self.once(self.channel(filling)?, update.data.clone()));
            }
            // A book's levels come as changes of the book, with rows.
            Making::BestLevels | Making::BookRows => {}
        }
        Ok(())
    }

    fn candle(&self, out: &mut Out<'_>) -> Result<(), Untold> {
        let symbol = self.symbol()?;
        let candle = candle::row(self.update, symbol)?;
        let channel = self.channel(Filling { symbol, interval: &candle.interval, ..self.plan.filling() })?;
        out.add_candle(channel, &candle.row);
        if self.update.kind == UpdateKind::Change {
            out.end_candles();
        }
        Ok(())
    }

    fn order_status(&self, out: &mut Out<'_>) -> Result<(), Untold> {
        let order = Order::of(self.update)?;
        if order.is_without_status() {
            return Ok(());
        }
        let order_id = order.id(self.update)?;
        let channel = self.channel(Filling { order_id, ..self.plan.filling() })?;
        let symbol = order.symbol().map(|symbol| self.plan.name_of(symbol));
        let data = order.status(self.update, symbol, self.plan.owner.as_deref())?;
        out.push(self.owned(channel, data));
        Ok(())
    }

    /// What the hub calls the instrument.
    fn symbol(&self) -> Result<&str, Untold> {
        let symbol = self.update.symbol.as_deref();
        let symbol = symbol.ok_or_else(|| malformed(self.update, "it names no instrument"))?;
        Ok(self.plan.name_of(symbol))
    }

    fn renamed(&self, order: &Order<'_>) -> Option<&str> {
        self.plan.renamed(order.symbol()?)
    }

    fn channel(&self, filling: Filling<'_>) -> Result<Box<str>, Untold> {
        let filled = self.active.template.fill(&filling);
        filled.map_err(|error| Untold::unnameable(&self.update.channel, error))
    }

    /// Something that the venue may say twice.
    fn once(&self, channel: Box<str>, data: Bytes) -> Publication {
        let key = self.update.id.clone().filter(|id| id.len() <= KEY_LIMIT);
        Publication { channel, data, idempotency_key: key, ..Publication::default() }
    }

    /// Something of an account's.
    fn owned(&self, channel: Box<str>, data: Bytes) -> Publication {
        Publication { owner: self.plan.owner.clone(), ..self.once(channel, data) }
    }
}

impl<'a> Out<'a> {
    pub(super) fn new(due: &'a mut Vec<Publication>) -> Self {
        Out { due, candles: None, untold: Vec::new() }
    }

    fn publish(&mut self, channel: Box<str>, data: Bytes) {
        self.push(Publication { channel, data, ..Publication::default() });
    }

    fn push(&mut self, publication: Publication) {
        self.end_candles();
        self.due.push(publication);
    }

    fn add_candle(&mut self, channel: Box<str>, row: &[u8]) {
        let fits = |candles: &&mut Candles| {
            candles.channel == channel && candles.rows.len() + row.len() < CANDLES_BYTES
        };
        if let Some(candles) = self.candles.as_mut().filter(fits) {
            candles.rows.push(b',');
            candles.rows.extend_from_slice(row);
            return;
        }
        self.end_candles();
        self.candles = Some(Candles { channel, rows: row.to_vec() });
    }

    pub(super) fn end_candles(&mut self) {
        let Some(candles) = self.candles.take() else { return };
        let mut data = Vec::with_capacity(candles.rows.len() + 40);
        data.extend_from_slice(b"{\"rows\":[");
        data.extend_from_slice(&candles.rows);
        data.extend_from_slice(b"],\"meta\":{},\"snapshot\":false}");
        self.due.push(Publication { channel: candles.channel, data: data.into(), ..Publication::default() });
    }
}
