//! The events against the contract's catalogue, written out once more; the check against `serde_json`'s reading.

mod checking;
mod skimming;

use std::collections::BTreeSet;

use crate::{Catalog, ChannelSpec};

/// type | required fields | optional fields that the contract names; `*`: any object
const CONTRACT: &str = "
price_update           | symbol price change volume | bid ask change_24h change_24h_pct source_time
orderbook_update       | * | symbol bids asks checksum timestamp
orderbook_rows         | 0 1 2 |
market_trade           | symbol price quantity side time | trade_id
ohlc                   | symbol interval begin open high low close volume |
trade                  | portfolio_id symbol trade_type quantity price |
order_status           | order_id status | symbol filled remaining owner
execution              | * |
balance                | asset |
portfolio_update       | * |
position_update        | symbol |
portfolio_value_update | value | currency change
agent_status           | agent_id status | detail
agent_result           | agent_id result |
pipeline_update        | pipeline_id stage status |
system_health          | component status |
metric                 | name value |
alert                  | source rule state value threshold since |
freshness              | of state age_ms |
presence               | of event node count | client principal missed
notification           | user_id title | body level
sentiment_update       | symbol score | source
news                   | * |
social                 | * |
new_signal             | * | type price
status_update          | experiment_id status | namespace timestamp progress
training_error         | experiment_id message | stack_trace namespace timestamp progress
log_update             | experiment_id message | level namespace timestamp progress
progress_update        | experiment_id current_step total_steps epoch progress |
metrics_update         | experiment_id metrics |
source_heartbeat       | source |
dead_letter            | reason attempts first_at last_at original | error
";

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn built_in() -> Vec<ChannelSpec> {
    Catalog::built_in().specs().map(|spec| spec.as_ref().clone()).collect()
}

#[test]
fn each_family_needs_the_fields_that_the_contract_names_and_has_the_others() {
    let specs = built_in();
    let lines: Vec<&str> = CONTRACT.trim().lines().collect();
    assert_eq!(specs.len(), lines.len());
    for (spec, line) in specs.iter().zip(lines) {
        let [kind, required, optional] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        assert_eq!(spec.kind, kind);
        let schema = spec.schema.as_ref().unwrap();
        assert_eq!(schema.is_open(), required == "*", "{kind}");
        if required != "*" {
            assert_eq!(schema.required(), words(required), "{kind}");
        }
        let properties = schema.json().get("properties").and_then(|properties| properties.as_object());
        let has = |name: &str| properties.is_some_and(|properties| properties.contains_key(name));
        assert!(words(optional).into_iter().all(has), "{kind}: {properties:?}");
    }
}

#[test]
fn a_row_of_a_table_cannot_lack_its_key() {
    for spec in built_in().into_iter().filter(|spec| !spec.row_key.is_empty()) {
        let schema = spec.schema.unwrap();
        let required: BTreeSet<_> = schema.required().into_iter().collect();
        assert!(spec.row_key.iter().all(|key| required.contains(key.as_str())), "{}", spec.template);
    }
}

#[test]
fn every_event_and_every_field_says_what_it_means() {
    for spec in built_in() {
        let schema = spec.schema.unwrap();
        let described = |schema: &serde_json::Value| {
            schema.get("description").and_then(|text| text.as_str()).is_some_and(|text| !text.is_empty())
        };
        assert!(described(schema.json()), "{}", schema.name());
        let properties = schema.json().get("properties").and_then(|properties| properties.as_object());
        for (name, field) in properties.into_iter().flatten() {
            assert!(described(field), "{}.{name}", schema.name());
        }
    }
}

#[test]
fn the_schemas_are_sound_and_refer_to_nothing() {
    for spec in built_in() {
        let schema = spec.schema.unwrap();
        assert!(!schema.json().to_string().contains("\"$ref\""), "{}", schema.name());
        assert!(super::EventSchema::user(schema.name(), schema.json().clone()).is_ok(), "{}", schema.name());
    }
}
