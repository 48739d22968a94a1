//! The built-in families: one row each, to be read as a table.
//!
//! Owns the rows and nothing else; what follows from a row is the catalogue's.
//! Refuses to know the events' fields.

use std::time::Duration;

use super::{ChannelSpec, Delivery, Priority, Readers};

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

/// template, type, priority, kept, rolls up to, read
type Row = (&'static str, &'static str, Priority, Kept, &'static [&'static str], Readers);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("market_data:{symbol}",              "price_update",           High,     Last,                       &["market_data", "price_updates"], Public),
    ("orderbook:{symbol}",                "orderbook_update",       High,     Last,                       &["orderbook"],                    Public),
    ("orderbook_rows:{symbol}",           "orderbook_rows",         High,     Levels,                     &[],                               Public),
    ("market_trades:{symbol}",            "market_trade",           Medium,   Newest(1_000),              &["market_trades"],                Public),
    ("ohlc:{symbol}:{interval}",          "ohlc",                   Medium,   RowsUpTo(500, &["begin"]),  &["ohlc"],                         Public),
    ("trades:{portfolio_id}",             "trade",                  Critical, Week(10_000),               &["trades"],                       Own),
    ("order_status:{order_id}",           "order_status",           Critical, Week(1_000),                &["orders"],                       Owner),
    ("executions:{account}",              "execution",              Critical, Week(10_000),               &["executions"],                   Owner),
    ("balances:{account}",                "balance",                Critical, Rows(&["asset"]),           &["balances"],                     Owner),
    ("portfolio:{portfolio_id}",          "portfolio_update",       High,     Last,                       &[],                               Own),
    ("positions:{portfolio_id}",          "position_update",        High,     Rows(&["symbol"]),          &[],                               Own),
    ("portfolio_value:{portfolio_id}",    "portfolio_value_update", High,     Last,                       &[],                               Own),
    ("agent_status",                      "agent_status",           Medium,   Rows(&["agent_id"]),        &[],                               Operator),
    ("agent_result:{agent_id}",           "agent_result",           Medium,   Newest(100),                &["agent_result"],                 Operator),
    ("pipeline:{pipeline_id}",            "pipeline_update",        Medium,   Last,                       &["pipeline"],                     Operator),
    ("system_health",                     "system_health",          Low,      Rows(&["component"]),       &[],                               Operator),
    ("metrics",                           "metric",                 Low,      Rows(&["name"]),            &[],                               Operator),
    ("alerts:{source}",                   "alert",                  Critical, Week(10_000),               &["alerts"],                       Operator),
    ("freshness:{of}",                    "freshness",              Low,      Last,                       &["freshness"],                    AsChannel),
    ("notifications:{user_id}",           "notification",           High,     Week(500),                  &[],                               Own),
    ("sentiment:{symbol}",                "sentiment_update",       Medium,   Last,                       &["sentiment"],                    Public),
    ("news",                              "news",                   Low,      Newest(200),                &[],                               Public),
    ("social",                            "social",                 Low,      Newest(200),                &[],                               Public),
    ("quantum_signals",                   "new_signal",             High,     Newest(1_000),              &[],                               Public),
    ("training.status:{experiment_id}",   "status_update",          Medium,   NewestFromLast(1_000),      &["training.status"],              Operator),
    ("training.error:{experiment_id}",    "training_error",         High,     Newest(1_000),              &["training.error"],               Operator),
    ("training.log:{experiment_id}",      "log_update",             Low,      Newest(1_000),              &["training.log"],                 Operator),
    ("training.progress:{experiment_id}", "progress_update",        Low,      History(10_000),            &["training.progress"],            Operator),
    ("training.metrics:{experiment_id}",  "metrics_update",         Low,      History(10_000),            &["training.metrics"],             Operator),
    ("heartbeat:{source}",                "source_heartbeat",       Low,      Last,                       &["heartbeat"],                    Operator),
    ("dead_letters:{source}",             "dead_letter",            Medium,   Week(10_000),               &["dead_letters"],                 Operator),
];

/// The rows as specs, in the table's order.
pub(super) fn built_in_rows() -> impl Iterator<Item = ChannelSpec> {
    ROWS.iter().map(|&(template, kind, priority, kept, rolls_up_to, read)| {
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
        spec.rolls_up_to(rolls_up_to).read(read)
    })
}
