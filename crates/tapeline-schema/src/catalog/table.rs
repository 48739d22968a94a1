//! The built-in families: one row each, to be read as a table.
//!
//! Owns the rows and nothing else; what follows from a row is the catalogue's.
//! Refuses to know the events' fields: those are the structs'.

use std::sync::LazyLock;
use std::time::Duration;

use schemars::JsonSchema;

use super::{ChannelSpec, Delivery, Priority, Readers};
use crate::events::*;

use Kept::{History, Last, Levels, Newest, NewestFromLast, Rows, RowsUpTo, Week};
use Priority::{Critical, High, Low, Medium};
use Readers::{AsChannel, Operator, Own, Owner, Public};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A delivery together with what it keeps.
#[derive(Clone, Copy)]
enum Kept {
    /// `latest`: the last message.
    Last,
    /// `latest`, with so many messages of history.
    History(usize),
    /// `table`, its rows told apart by these fields.
    Rows(&'static [&'static str]),
    /// `table` of price levels `[side, price, quantity]`; without quantity a level is gone.
    Levels,
    /// `table` with so many rows.
    RowsUpTo(usize, &'static [&'static str]),
    /// `every`: so many messages.
    Newest(usize),
    /// `every`: so many messages, the last of them sent on subscribe.
    NewestFromLast(usize),
    /// `every`: so many messages of the last seven days.
    Week(usize),
}

/// template, type, event (`open`: any object is taken), priority, kept, rolls up to, read
type Row =
    (&'static str, &'static str, fn() -> EventSchema, Priority, Kept, &'static [&'static str], Readers);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("market_data:{symbol}",              "price_update",           typed::<PriceUpdate>,        High,     Last,                       &["market_data", "price_updates"], Public),
    ("orderbook:{symbol}",                "orderbook_update",       open::<OrderBook>,           High,     Last,                       &["orderbook"],                    Public),
    ("orderbook_rows:{symbol}",           "orderbook_rows",         typed::<BookRow>,            High,     Levels,                     &[],                               Public),
    ("market_trades:{symbol}",            "market_trade",           typed::<MarketTrade>,        Medium,   Newest(1_000),              &["market_trades"],                Public),
    ("ohlc:{symbol}:{interval}",          "ohlc",                   typed::<Candle>,             Medium,   RowsUpTo(500, &["begin"]),  &["ohlc"],                         Public),
    ("trades:{portfolio_id}",             "trade",                  typed::<Trade>,              Critical, Week(10_000),               &["trades"],                       Own),
    ("order_status:{order_id}",           "order_status",           typed::<OrderStatus>,        Critical, Week(1_000),                &["orders"],                       Owner),
    ("executions:{account}",              "execution",              open::<Execution>,           Critical, Week(10_000),               &["executions"],                   Owner),
    ("balances:{account}",                "balance",                typed::<Balance>,            Critical, Rows(&["asset"]),           &["balances"],                     Owner),
    ("portfolio:{portfolio_id}",          "portfolio_update",       open::<Portfolio>,           High,     Last,                       &[],                               Own),
    ("positions:{portfolio_id}",          "position_update",        typed::<Position>,           High,     Rows(&["symbol"]),          &[],                               Own),
    ("portfolio_value:{portfolio_id}",    "portfolio_value_update", typed::<PortfolioValue>,     High,     Last,                       &[],                               Own),
    ("agent_status",                      "agent_status",           typed::<AgentStatus>,        Medium,   Rows(&["agent_id"]),        &[],                               Operator),
    ("agent_result:{agent_id}",           "agent_result",           typed::<AgentResult>,        Medium,   Newest(100),                &["agent_result"],                 Operator),
    ("pipeline:{pipeline_id}",            "pipeline_update",        typed::<PipelineUpdate>,     Medium,   Last,                       &["pipeline"],                     Operator),
    ("system_health",                     "system_health",          typed::<SystemHealth>,       Low,      Rows(&["component"]),       &[],                               Operator),
    ("metrics",                           "metric",                 typed::<Metric>,             Low,      Rows(&["name"]),            &[],                               Operator),
    ("alerts:{source}",                   "alert",                  typed::<Alert>,              Critical, Week(10_000),               &["alerts"],                       Operator),
    ("freshness:{of}",                    "freshness",              typed::<Freshness>,          Low,      Last,                       &["freshness"],                    AsChannel),
    ("presence:{of}",                     "presence",               typed::<Presence>,           Low,      Newest(200),                &[],                               AsChannel),
    ("notifications:{user_id}",           "notification",           typed::<Notification>,       High,     Week(500),                  &[],                               Own),
    ("sentiment:{symbol}",                "sentiment_update",       typed::<SentimentUpdate>,    Medium,   Last,                       &["sentiment"],                    Public),
    ("news",                              "news",                   open::<NewsItem>,            Low,      Newest(200),                &[],                               Public),
    ("social",                            "social",                 open::<SocialPost>,          Low,      Newest(200),                &[],                               Public),
    ("quantum_signals",                   "new_signal",             open::<Signal>,              High,     Newest(1_000),              &[],                               Public),
    ("training.status:{experiment_id}",   "status_update",          typed::<StatusUpdate>,       Medium,   NewestFromLast(1_000),      &["training.status"],              Operator),
    ("training.error:{experiment_id}",    "training_error",         typed::<TrainingError>,      High,     Newest(1_000),              &["training.error"],               Operator),
    ("training.log:{experiment_id}",      "log_update",             typed::<LogUpdate>,          Low,      Newest(1_000),              &["training.log"],                 Operator),
    ("training.progress:{experiment_id}", "progress_update",        typed::<ProgressUpdate>,     Low,      History(10_000),            &["training.progress"],            Operator),
    ("training.metrics:{experiment_id}",  "metrics_update",         typed::<MetricsUpdate>,      Low,      History(10_000),            &["training.metrics"],             Operator),
    ("heartbeat:{source}",                "source_heartbeat",       typed::<SourceHeartbeat>,    Low,      Last,                       &["heartbeat"],                    Operator),
    ("dead_letters:{source}",             "dead_letter",            typed::<DeadLetter>,         Medium,   Week(10_000),               &["dead_letters"],                 Operator),
];

fn typed<E: JsonSchema>() -> EventSchema {
    EventSchema::typed::<E>()
}

fn open<E: JsonSchema>() -> EventSchema {
    EventSchema::open::<E>()
}

/// Made once: the schemas take longer than all the rest, and tests make many catalogues.
static SPECS: LazyLock<Vec<ChannelSpec>> = LazyLock::new(|| ROWS.iter().map(spec).collect());

fn spec(&(template, kind, event, priority, kept, rolls_up_to, read): &Row) -> ChannelSpec {
    let of = |delivery| ChannelSpec::of(template, kind, priority, delivery);
    let spec = match kept {
        Last => of(Delivery::Latest),
        History(count) => of(Delivery::Latest).keep(count, None),
        Rows(row_key) => of(Delivery::Table).keyed_by(row_key),
        Levels => of(Delivery::Table).keyed_by(&["0", "1"]).removed_when("2", "0"),
        RowsUpTo(count, row_key) => of(Delivery::Table).keyed_by(row_key).keep(count, None),
        Newest(count) => of(Delivery::Every).keep(count, None),
        NewestFromLast(count) => of(Delivery::Every).keep(count, None).replay_on_subscribe(1),
        Week(count) => of(Delivery::Every).keep(count, 7 * DAY),
    };
    spec.schema(event()).rolls_up_to(rolls_up_to).read(read)
}

/// The rows as specs, in the table's order.
pub(super) fn built_in_rows() -> impl Iterator<Item = ChannelSpec> {
    SPECS.iter().cloned()
}
