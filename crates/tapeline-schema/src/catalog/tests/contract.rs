//! The built-in rows against the contract's catalogue, written out once more as plain text.
//!
//! Owns that second copy: a row changed by accident differs from it.
//! Refuses to use the table's own words.

use super::*;

/// template | type | priority | delivery | kept | age in days | rolls up to | row key | read
const CONTRACT: &str = "
market_data:{symbol}              | price_update           | high     | latest | 1     |   | market_data price_updates |           | public
orderbook:{symbol}                | orderbook_update       | high     | latest | 1     |   | orderbook                 |           | public
orderbook_rows:{symbol}           | orderbook_rows         | high     | table  | -     |   |                           | 0 1       | public
market_trades:{symbol}            | market_trade           | medium   | every  | 1000  |   | market_trades             |           | public
ohlc:{symbol}:{interval}          | ohlc                   | medium   | table  | 500   |   | ohlc                      | begin     | public
trades:{portfolio_id}             | trade                  | critical | every  | 10000 | 7 | trades                    |           | own
order_status:{order_id}           | order_status           | critical | every  | 1000  | 7 | orders                    |           | owner
executions:{account}              | execution              | critical | every  | 10000 | 7 | executions                |           | owner
balances:{account}                | balance                | critical | table  | -     |   | balances                  | asset     | owner
portfolio:{portfolio_id}          | portfolio_update       | high     | latest | 1     |   |                           |           | own
positions:{portfolio_id}          | position_update        | high     | table  | -     |   |                           | symbol    | own
portfolio_value:{portfolio_id}    | portfolio_value_update | high     | latest | 1     |   |                           |           | own
agent_status                      | agent_status           | medium   | table  | -     |   |                           | agent_id  | operator
agent_result:{agent_id}           | agent_result           | medium   | every  | 100   |   | agent_result              |           | operator
pipeline:{pipeline_id}            | pipeline_update        | medium   | latest | 1     |   | pipeline                  |           | operator
system_health                     | system_health          | low      | table  | -     |   |                           | component | operator
metrics                           | metric                 | low      | table  | -     |   |                           | name      | operator
alerts:{source}                   | alert                  | critical | every  | 10000 | 7 | alerts                    |           | operator
freshness:{of}                    | freshness              | low      | latest | 1     |   | freshness                 |           | as_channel
presence:{of}                     | presence               | low      | every  | 200   |   |                           |           | as_channel
notifications:{user_id}           | notification           | high     | every  | 500   | 7 |                           |           | own
sentiment:{symbol}                | sentiment_update       | medium   | latest | 1     |   | sentiment                 |           | public
news                              | news                   | low      | every  | 200   |   |                           |           | public
social                            | social                 | low      | every  | 200   |   |                           |           | public
quantum_signals                   | new_signal             | high     | every  | 1000  |   |                           |           | public
training.status:{experiment_id}   | status_update          | medium   | every  | 1000  |   | training.status           |           | operator
training.error:{experiment_id}    | training_error         | high     | every  | 1000  |   | training.error            |           | operator
training.log:{experiment_id}      | log_update             | low      | every  | 1000  |   | training.log              |           | operator
training.progress:{experiment_id} | progress_update        | low      | latest | 10000 |   | training.progress         |           | operator
training.metrics:{experiment_id}  | metrics_update         | low      | latest | 10000 |   | training.metrics          |           | operator
heartbeat:{source}                | source_heartbeat       | low      | latest | 1     |   | heartbeat                 |           | operator
dead_letters:{source}             | dead_letter            | medium   | every  | 10000 | 7 | dead_letters              |           | operator
";

/// A table whose rows the contract does not number.
const UNNUMBERED: &str = "-";

fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

fn as_text(spec: &ChannelSpec, numbered: bool) -> Vec<String> {
    let days = spec.keep.age.map_or(String::new(), |age| (age.as_secs() / 86_400).to_string());
    let kept = if numbered { spec.keep.count.to_string() } else { UNNUMBERED.to_owned() };
    vec![
        spec.template.clone(),
        spec.kind.clone(),
        word(spec.priority),
        word(spec.delivery),
        kept,
        days,
        spec.rolls_up_to.join(" "),
        spec.row_key.join(" "),
        word(spec.read),
    ]
}

fn rows() -> Vec<Vec<String>> {
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
    CONTRACT.trim().lines().map(cells).collect()
}

#[test]
fn the_built_in_catalogue_is_the_contracts() {
    let catalog = Catalog::built_in();
    let ours: Vec<_> = catalog.specs().collect();
    let contract = rows();
    assert_eq!(ours.len(), contract.len());
    for (spec, row) in ours.into_iter().zip(contract) {
        assert_eq!(as_text(spec, row[4] != UNNUMBERED), row);
    }
}

#[test]
fn every_built_in_row_passes_the_checks_that_a_users_row_must() {
    let mut catalog = Catalog::empty();
    for spec in Catalog::built_in().specs() {
        assert_eq!(catalog.add(spec.as_ref().clone()), Ok(()), "{}", spec.template);
        assert_eq!(catalog.family(&spec.family), Some(spec));
    }
}

#[test]
fn public_families_are_published_by_feeds_or_a_grant_and_the_others_by_a_grant() {
    for spec in Catalog::built_in().specs() {
        let rule = if spec.read == Readers::Public { Publishers::FeedOrGrant } else { Publishers::Grant };
        assert_eq!(spec.publish, rule, "{}", spec.template);
    }
}

#[test]
fn only_the_status_of_a_training_replays_its_last_message_on_subscribe() {
    for spec in Catalog::built_in().specs() {
        let replayed = usize::from(spec.family == "training.status");
        assert_eq!(spec.replay_on_subscribe, replayed, "{}", spec.template);
    }
}

#[test]
fn a_channel_outlives_what_it_keeps_or_else_lasts_a_fortnight() {
    for spec in Catalog::built_in().specs() {
        let days = if spec.keep.age.is_some() { 7 } else { 14 };
        assert_eq!(spec.idle_ttl, days * DAY, "{}", spec.template);
    }
}

#[test]
fn no_built_in_row_limits_rates_or_bytes_or_uses_a_reserved_type() {
    for spec in Catalog::built_in().specs() {
        let bytes = (spec.delivery == Delivery::Table).then_some(4 << 20);
        assert_eq!((spec.max_rate, spec.keep.bytes), (None, bytes), "{}", spec.template);
        assert!(!crate::wire::is_reserved_type(&spec.kind), "{}", spec.template);
        assert!(spec.declared, "{}", spec.template);
    }
}
