//! What names resolve to, how keys and names turn into each other, and what roll-ups are made of.
//!
//! Owns the conversations with a catalogue; the contract's table, the rules for rows and the suggestions
//! have files of their own.

use std::time::Duration;

use super::*;
use crate::codes::ErrorCode;

mod contract;
mod rules;
mod suggestions;

const DAY: Duration = Duration::from_secs(86_400);

fn families(specs: &[Arc<ChannelSpec>]) -> Vec<&str> {
    specs.iter().map(|spec| spec.family.as_str()).collect()
}

#[test]
fn a_name_with_its_key_resolves_to_its_family() {
    let catalog = Catalog::built_in();
    for (name, family) in [
        ("market_data:AAPL", "market_data"),
        ("market_data:a:b", "market_data"),
        ("orderbook:BTC/USD", "orderbook"),
        ("ohlc:BTC/USD:1m", "ohlc"),
        ("training.status:exp_1", "training.status"),
        ("freshness:market_data:AAPL", "freshness"),
        ("news", "news"),
        ("agent_status", "agent_status"),
        ("system_health", "system_health"),
        ("quantum_signals", "quantum_signals"),
    ] {
        let resolved = catalog.resolve(name);
        assert_eq!(resolved.spec.family, family, "{name}");
        assert!(resolved.declared && !resolved.roll_up, "{name}");
    }
}

#[test]
fn a_name_that_lacks_a_key_or_has_one_too_many_is_undeclared() {
    let catalog = Catalog::built_in();
    for name in [
        "market_data:",
        "ohlc:BTC",
        "ohlc::1m",
        "ohlc:BTC:",
        "news:tech",
        "news:",
        "portfolio",
        "positions",
        "order_status",
        "notifications",
        "whatever",
        "Market_data:AAPL",
        ":",
        "undeclared",
        "*",
    ] {
        let resolved = catalog.resolve(name);
        assert!(!resolved.declared && !resolved.roll_up, "{name}");
        assert_eq!(*resolved.spec, ChannelSpec::undeclared(), "{name}");
    }
}

#[test]
fn an_undeclared_name_keeps_256_messages_of_a_minute_and_is_forgotten_after_an_hour() {
    let spec = ChannelSpec::undeclared();
    assert_eq!(
        (spec.delivery, spec.priority, spec.kind.as_str()),
        (Delivery::Every, Priority::Medium, "message")
    );
    assert_eq!(spec.keep, Keep { count: 256, age: Some(Duration::from_secs(60)), bytes: None });
    assert_eq!(spec.idle_ttl, Duration::from_secs(3_600));
    assert_eq!((spec.read, spec.publish), (Readers::Public, Publishers::Anyone));
    assert!(!spec.declared && spec.rolls_up_to.is_empty());
}

#[test]
fn a_roll_up_is_a_channel_with_its_sources_row_and_no_roll_up_of_its_own() {
    let catalog = Catalog::built_in();
    for source in catalog.specs() {
        for name in &source.rolls_up_to {
            let resolved = catalog.resolve(name);
            assert!(resolved.declared && resolved.roll_up, "{name}");
            let spec = &resolved.spec;
            assert_eq!((&spec.template, &spec.family), (name, name));
            assert_eq!(
                (&spec.kind, spec.priority, spec.delivery),
                (&source.kind, source.priority, source.delivery)
            );
            assert_eq!((spec.keep, &spec.row_key), (source.keep, &source.row_key), "{name}");
            assert_eq!(spec.replay_on_subscribe, source.replay_on_subscribe, "{name}");
            assert!(spec.rolls_up_to.is_empty() && spec.keys.is_empty() && spec.declared, "{name}");
            assert_eq!(families(catalog.rolled_up_by(name)), [source.family.as_str()], "{name}");
        }
    }
    assert!(catalog.rolled_up_by("market_data:AAPL").is_empty());
}

#[test]
fn a_roll_up_of_what_is_not_public_needs_a_grant() {
    let catalog = Catalog::built_in();
    for name in ["trades", "orders", "executions", "balances", "alerts", "training.status"] {
        let spec = catalog.resolve(name).spec;
        assert_eq!((spec.read, spec.publish), (Readers::Operator, Publishers::Grant), "{name}");
    }
    for name in ["market_data", "price_updates", "orderbook", "market_trades", "ohlc", "sentiment"] {
        let spec = catalog.resolve(name).spec;
        assert_eq!((spec.read, spec.publish), (Readers::Public, Publishers::FeedOrGrant), "{name}");
    }
}

#[test]
fn a_roll_up_that_is_heard_source_by_source_is_as_open_as_each_source() {
    let spec = Catalog::built_in().resolve("freshness").spec;
    assert_eq!((spec.read, spec.publish), (Readers::AsChannel, Publishers::Grant));
}

#[test]
fn a_roll_up_of_two_families_keeps_the_most_and_lets_the_fewest_read() {
    let every = |template: &str| ChannelSpec::of(template, "fill", Priority::High, Delivery::Every);
    let mut catalog = Catalog::empty();
    catalog.add(every("a:{x}").keep(10, DAY).keep_bytes(9).rolls_up_to(&["all"])).unwrap();
    catalog.add(every("b:{x}").keep(500, DAY / 2).rolls_up_to(&["all"]).read(Readers::Own)).unwrap();
    let spec = catalog.resolve("all").spec;
    assert_eq!(spec.keep, Keep { count: 500, age: Some(DAY), bytes: None });
    assert_eq!((spec.read, spec.publish, spec.idle_ttl), (Readers::Operator, Publishers::Grant, DAY));
    assert_eq!(families(catalog.rolled_up_by("all")), ["a", "b"]);
}

#[test]
fn a_bare_family_with_a_roll_ups_name_gives_it_its_row_whichever_comes_first() {
    let row = |template: &str, kind: &str| ChannelSpec::of(template, kind, Priority::Low, Delivery::Every);
    let bare = row("all", "summary").keep(7, None);
    let source = row("a:{x}", "fill").keep(3, DAY).rolls_up_to(&["all"]);
    for rows in [[bare.clone(), source.clone()], [source, bare]] {
        let mut catalog = Catalog::empty();
        rows.into_iter().for_each(|row| catalog.add(row).unwrap());
        let resolved = catalog.resolve("all");
        assert!(resolved.roll_up);
        assert_eq!((resolved.spec.kind.as_str(), resolved.spec.keep.count), ("summary", 7));
        assert_eq!(resolved.spec.keep.age, None);
        assert_eq!(families(catalog.rolled_up_by("all")), ["a"]);
    }
}

#[test]
fn one_key_takes_the_rest_and_several_split_at_the_last_colons() {
    let catalog = Catalog::built_in();
    let keys = |family: &str, name| {
        catalog
            .family(family)
            .unwrap()
            .keys_of(name)
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("market_data", "market_data:AAPL"), ["symbol=AAPL"]);
    assert_eq!(keys("freshness", "freshness:ohlc:BTC:1m"), ["of=ohlc:BTC:1m"]);
    assert_eq!(keys("ohlc", "ohlc:BTC/USD:1m"), ["symbol=BTC/USD", "interval=1m"]);
    assert_eq!(keys("ohlc", "ohlc:x:BTC/USD:1m"), ["symbol=x:BTC/USD", "interval=1m"]);
    assert!(keys("news", "news").is_empty());
}

#[test]
fn a_name_of_another_family_or_with_an_empty_key_has_no_keys() {
    let catalog = Catalog::built_in();
    let ohlc = catalog.family("ohlc").unwrap();
    for name in ["ohlc", "ohlc:", "ohlc:BTC", "ohlc:BTC:", "ohlc::1m", "ohlcv:BTC:1m", "trades:p:1"] {
        assert!(ohlc.keys_of(name).is_empty(), "{name}");
    }
}

#[test]
fn a_name_is_made_from_its_keys_and_taken_apart_to_the_same() {
    let catalog = Catalog::built_in();
    for name in ["market_data:AAPL", "orderbook:BTC/USD", "ohlc:x:BTC/USD:1m", "news", "training.log:exp:7"] {
        let spec = catalog.resolve(name).spec;
        let pairs = spec.keys_of(name);
        let value =
            |key: &str| pairs.iter().find(|(field, _)| *field == key).map(|(_, value)| (*value).to_owned());
        assert_eq!(spec.name_for(value), Ok(name.to_owned()));
    }
}

#[test]
fn a_name_is_not_made_from_missing_ambiguous_or_illegal_keys() {
    let catalog = Catalog::built_in();
    let ohlc = catalog.family("ohlc").unwrap();
    let made = |interval: Option<&str>| {
        ohlc.name_for(
            |key| if key == "symbol" { Some("BTC".to_owned()) } else { interval.map(str::to_owned) },
        )
    };
    let refused = |interval| made(interval).unwrap_err();
    assert_eq!(made(Some("1m")), Ok("ohlc:BTC:1m".to_owned()));
    assert_eq!(refused(None).to_string(), "family ohlc needs the key interval");
    assert_eq!(refused(Some("")), refused(None));
    assert_eq!(refused(None).code(), ErrorCode::InvalidRequest);
    assert_eq!(refused(Some("1:m")).to_string(), "family ohlc: the key interval may not hold a colon");
    assert_eq!(refused(Some("1 m")).code(), ErrorCode::BadChannel);
}

#[test]
fn lanes_stand_in_order_of_urgency() {
    assert_eq!(Priority::ALL.map(Priority::lane), [0, 1, 2, 3]);
    assert!(Priority::ALL.is_sorted());
}

#[test]
fn words_are_written_as_configuration_spells_them() {
    for priority in Priority::ALL {
        assert_eq!(serde_json::to_value(priority).unwrap(), priority.name());
    }
    for delivery in [Delivery::Latest, Delivery::Table, Delivery::Every] {
        assert_eq!(serde_json::to_value(delivery).unwrap(), delivery.name());
    }
    assert_eq!(serde_json::to_value(Readers::AsChannel).unwrap(), "as_channel");
    assert_eq!(serde_json::to_value(Publishers::FeedOrGrant).unwrap(), "feed_or_grant");
}
