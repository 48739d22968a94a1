//! `portfolio-123`: one order at a time is placed, filled in parts or cancelled; trades, positions and value follow
//! from its fills. Money is whole cents, so holdings and cash always add up.

use serde_json::json;

use super::event::{Moment, decimal, object};
use super::market::Instrument;

/// The portfolio that the demo trades.
pub const PORTFOLIO: &str = "portfolio-123";

/// Order numbers begin again after so many: each is a channel, and a demo may run for weeks.
const ORDER_NUMBERS: u64 = 1_000;
const CASH_CENTS: i64 = 25_000_000;

struct Holding {
    /// Its place among the market's symbols.
    at: usize,
    lots: i64,
    /// What the lots were bought for.
    cost_cents: i64,
    /// The largest order, in lots.
    largest: i64,
}

struct Order {
    id: String,
    holding: usize,
    buys: bool,
    lots: i64,
    filled: i64,
}

/// See the module.
pub(super) struct Portfolio {
    cash_cents: i64,
    holdings: Vec<Holding>,
    order: Option<Order>,
    orders: u64,
    value_cents: i64,
}

impl Portfolio {
    pub(super) fn new(market: &[Instrument]) -> Self {
        let held = [("AAPL", 120, 25), ("TSLA", 80, 20), ("MSFT", 60, 15), ("BTC/USD", 7_500, 1_200)];
        let holding = |&(symbol, lots, largest): &(&str, i64, i64)| {
            let at = market.iter().position(|instrument| instrument.symbol() == symbol)?;
            let cost_cents = worth(market.get(at)?, lots);
            Some(Holding { at, lots, cost_cents, largest })
        };
        let holdings: Vec<_> = held.iter().filter_map(holding).collect();
        let value_cents = CASH_CENTS + holdings.iter().map(|holding| holding.cost_cents).sum::<i64>();
        Portfolio { cash_cents: CASH_CENTS, holdings, order: None, orders: 0, value_cents }
    }

    /// Places an order, or takes the one that is there a step further.
    pub(super) fn trade(&mut self, market: &[Instrument], moment: &mut Moment<'_>) {
        match self.order.take() {
            None => self.place(market, moment),
            Some(order) if moment.random.chance(10) => say(&order, "cancelled", market, self, moment),
            Some(order) => self.fill(order, market, moment),
        }
    }

    fn place(&mut self, market: &[Instrument], moment: &mut Moment<'_>) {
        let last = i64::try_from(self.holdings.len()).unwrap_or_default() - 1;
        let holding = usize::try_from(moment.random.between(0, last)).unwrap_or_default();
        let Some(held) = self.holdings.get(holding) else { return };
        let Some(instrument) = market.get(held.at) else { return };
        let lots = moment.random.between(1, held.largest);
        let can_sell = held.lots > lots;
        // Half as much again, for the price may rise before the order is filled.
        let can_buy = self.cash_cents > worth(instrument, lots) * 3 / 2;
        let buys = can_buy && (moment.random.chance(50) || !can_sell);
        if !buys && !can_sell {
            return;
        }
        self.orders = self.orders % ORDER_NUMBERS + 1;
        let order = Order { id: format!("demo-{:04}", self.orders), holding, buys, lots, filled: 0 };
        say(&order, "new", market, self, moment);
        self.order = Some(order);
    }

    fn fill(&mut self, mut order: Order, market: &[Instrument], moment: &mut Moment<'_>) {
        let Some(held) = self.holdings.get_mut(order.holding) else { return };
        let Some(instrument) = market.get(held.at) else { return };
        let open = order.lots - order.filled;
        let lots = if moment.random.chance(60) { open } else { moment.random.between(1, open) };
        let cents = worth(instrument, lots);
        order.filled += lots;
        if order.buys {
            held.lots += lots;
            held.cost_cents += cents;
            self.cash_cents -= cents;
        } else {
            held.cost_cents -= held.cost_cents * lots / held.lots.max(1);
            held.lots -= lots;
            self.cash_cents += cents;
        }
        let is_done = order.filled == order.lots;
        let time = moment.time();
        moment.publish(
            format!("trades:{PORTFOLIO}"),
            [
                ("portfolio_id", json!(PORTFOLIO)),
                ("symbol", json!(instrument.symbol())),
                ("trade_type", json!(if order.buys { "BUY" } else { "SELL" })),
                ("quantity", instrument.quantity(lots)),
                ("price", instrument.price(instrument.ticks())),
                ("order_id", json!(order.id)),
                ("time", json!(time)),
            ],
        );
        say(&order, if is_done { "filled" } else { "partially_filled" }, market, self, moment);
        if !is_done {
            self.order = Some(order);
        }
    }

    /// The whole portfolio at the market's prices.
    pub(super) fn value(&mut self, market: &[Instrument], moment: &mut Moment<'_>) {
        let held = |holding: &Holding| market.get(holding.at).map_or(0, |at| worth(at, holding.lots));
        let value_cents = self.cash_cents + self.holdings.iter().map(held).sum::<i64>();
        let change_cents = value_cents - self.value_cents;
        self.value_cents = value_cents;
        let rows: Vec<_> = self.holdings.iter().filter_map(|holding| row(holding, market)).collect();
        let time = moment.time();
        moment.publish(
            format!("portfolio_value:{PORTFOLIO}"),
            [
                ("value", decimal(value_cents, 100)),
                ("currency", json!("USD")),
                ("change", decimal(change_cents, 100)),
            ],
        );
        moment.publish(
            format!("portfolio:{PORTFOLIO}"),
            [
                ("portfolio_id", json!(PORTFOLIO)),
                ("cash", decimal(self.cash_cents, 100)),
                ("value", decimal(value_cents, 100)),
                ("positions", json!(rows.len())),
                ("updated_at", json!(time)),
            ],
        );
        moment.publish_table(format!("positions:{PORTFOLIO}"), &rows);
    }
}

/// Lots at the market's price, in cents.
fn worth(instrument: &Instrument, lots: i64) -> i64 {
    instrument.ticks() * lots / instrument.lot_scale()
}

fn row(holding: &Holding, market: &[Instrument]) -> Option<String> {
    let instrument = market.get(holding.at)?;
    let value_cents = worth(instrument, holding.lots);
    let average_cents = holding.cost_cents * instrument.lot_scale() / holding.lots.max(1);
    Some(object([
        ("symbol", json!(instrument.symbol())),
        ("quantity", instrument.quantity(holding.lots)),
        ("average_price", decimal(average_cents, 100)),
        ("price", instrument.price(instrument.ticks())),
        ("value", decimal(value_cents, 100)),
        ("unrealized_pnl", decimal(value_cents - holding.cost_cents, 100)),
    ]))
}

fn say(order: &Order, status: &str, market: &[Instrument], portfolio: &Portfolio, moment: &mut Moment<'_>) {
    let Some(holding) = portfolio.holdings.get(order.holding) else { return };
    let Some(instrument) = market.get(holding.at) else { return };
    moment.publish(
        format!("order_status:{}", order.id),
        [
            ("order_id", json!(order.id)),
            ("status", json!(status)),
            ("symbol", json!(instrument.symbol())),
            ("trade_type", json!(if order.buys { "BUY" } else { "SELL" })),
            ("quantity", instrument.quantity(order.lots)),
            ("filled", instrument.quantity(order.filled)),
            ("remaining", instrument.quantity(order.lots - order.filled)),
            ("portfolio_id", json!(PORTFOLIO)),
        ],
    );
}
