//! Which rows are refused, and that each refusal names what is wrong.
//!
//! Owns a case per rule. Refuses to know the built-in rows beyond those it collides with.

use super::*;
use crate::codes::Retry;

fn latest(template: &str) -> ChannelSpec {
    ChannelSpec::of(template, "update", Priority::High, Delivery::Latest)
}

fn every(template: &str) -> ChannelSpec {
    ChannelSpec::of(template, "update", Priority::High, Delivery::Every)
}

fn refusal(spec: ChannelSpec) -> CatalogError {
    Catalog::built_in().add(spec).unwrap_err()
}

#[test]
fn a_row_of_the_config_file_joins_the_built_in_ones() {
    let mut catalog = Catalog::built_in();
    catalog.add(latest("fx:{pair}").rolls_up_to(&["fx", "price_updates"]).max_rate(30)).unwrap();
    let resolved = catalog.resolve("fx:EUR/USD");
    assert!(resolved.declared);
    assert_eq!(resolved.spec.max_rate, Some(20), "rounded down to a step");
    assert_eq!(families(catalog.rolled_up_by("price_updates")), ["market_data", "fx"]);
    assert_eq!(catalog.specs().last().map(|spec| spec.family.as_str()), Some("fx"));
    assert!(catalog.roll_ups().any(|name| name == "fx"));
}

#[test]
fn a_template_is_a_name_with_keys_in_braces() {
    for template in [
        "",
        ":",
        ":{x}",
        "fx:",
        "fx:pair",
        "fx:{}",
        "fx:{pair",
        "fx:pair}",
        "fx:{a}{b}",
        "fx:{a}:b",
        "fx:{a b}",
        "fx:{1a}",
        "fx:{a-b}",
        "f x:{a}",
        "f*:{a}",
        "{fx}:{a}",
        "fx:{a}:",
        "fx:{{a}}",
    ] {
        let refused = refusal(latest(template));
        assert_eq!(refused, CatalogError::BadTemplate { template: template.to_owned() });
    }
    let long = format!("{}:{{x}}", "f".repeat(129));
    assert_eq!(refusal(latest(&long)), CatalogError::BadTemplate { template: long });
    assert_eq!(
        refusal(latest("fx:pair")).to_string(),
        "template \"fx:pair\" is not NAME or NAME:{key} or NAME:{key}:{key}…"
    );
}

#[test]
fn a_row_whose_keys_were_changed_behind_its_template_is_refused() {
    let spec = ChannelSpec { keys: vec!["symbol".to_owned()], ..latest("fx:{pair}") };
    assert!(matches!(refusal(spec), CatalogError::BadTemplate { .. }));
}

#[test]
fn a_key_may_not_be_called_like_a_field_of_the_header() {
    for key in "type channel data timestamp id req correlation_id offset epoch owner rollup".split(' ') {
        let template = format!("fx:{{pair}}:{{{key}}}");
        let refused = refusal(latest(&template));
        assert_eq!(refused, CatalogError::ReservedKey { template, key: key.to_owned() });
    }
    let twice = refusal(latest("fx:{a}:{a}"));
    assert_eq!(twice.to_string(), "template \"fx:{a}:{a}\" names the key a twice");
}

#[test]
fn a_family_is_declared_once() {
    for template in ["market_data:{pair}", "news", "news:{topic}", "metrics"] {
        assert!(matches!(refusal(latest(template)), CatalogError::DuplicateFamily { .. }), "{template}");
    }
    assert_eq!(refusal(latest("news")).to_string(), "family news is declared already");
}

#[test]
fn a_roll_up_has_one_delivery_and_one_priority() {
    let delivery = refusal(every("fx:{pair}").rolls_up_to(&["price_updates"]));
    assert_eq!(
        delivery.to_string(),
        "roll-up price_updates would mix deliveries: fx is every, its other sources are latest"
    );
    let low = ChannelSpec::of("fx:{pair}", "update", Priority::Low, Delivery::Latest);
    assert_eq!(
        refusal(low.rolls_up_to(&["price_updates"])).to_string(),
        "roll-up price_updates would mix priorities: fx is low, its other sources are high"
    );
}

#[test]
fn a_bare_family_counts_among_the_sources_of_its_name() {
    let to_news = refusal(latest("blog:{x}").rolls_up_to(&["news"]));
    assert!(matches!(to_news, CatalogError::MixedDelivery { .. }), "{to_news}");
    let bare = refusal(every("price_updates"));
    assert!(matches!(bare, CatalogError::MixedDelivery { .. }), "{bare}");
}

#[test]
fn roll_ups_do_not_chain_in_either_order() {
    let chain = [every("b").rolls_up_to(&["c"]), every("a:{x}").rolls_up_to(&["b"])];
    for rows in [chain.clone(), {
        let [one, two] = chain;
        [two, one]
    }] {
        let mut catalog = Catalog::empty();
        let [first, second] = rows;
        catalog.add(first).unwrap();
        let refused = catalog.add(second).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "family a cannot roll up to \"b\": it rolls up itself, and roll-ups do not chain"
        );
    }
}

#[test]
fn a_roll_up_name_is_a_plain_name_listed_once() {
    for name in ["all:x", "{namespace}.status"] {
        let refused = refusal(latest("fx:{pair}").rolls_up_to(&[name]));
        assert!(matches!(refused, CatalogError::BadRollUp { .. }), "{refused}");
    }
    assert!(matches!(refusal(latest("fx:{pair}").rolls_up_to(&["a b"])), CatalogError::Name(_)));
    assert!(matches!(refusal(latest("fx").rolls_up_to(&["fx"])), CatalogError::BadRollUp { .. }));
    assert!(matches!(refusal(latest("fx:{x}").rolls_up_to(&["a", "a"])), CatalogError::BadRollUp { .. }));
}

#[test]
fn a_rate_goes_with_latest_and_table_only_and_is_at_least_one() {
    let refused = refusal(every("fx:{pair}").max_rate(10));
    assert_eq!(refused.to_string(), "family fx: max_rate cannot go with delivery every");
    let refused = refusal(latest("fx:{pair}").max_rate(0));
    assert_eq!(refused.to_string(), "family fx: max_rate is 0, the least is 1 a second");
}

#[test]
fn a_table_tells_its_rows_apart_and_last_values_are_kept() {
    let table = ChannelSpec::of("fx:{pair}", "update", Priority::High, Delivery::Table);
    assert_eq!(refusal(table.clone()).to_string(), "family fx: delivery table needs a row_key");
    let keyed = |row_key: &[&str]| refusal(table.clone().keyed_by(row_key)).to_string();
    assert!(keyed(&["day", "day"]).contains("row_key names a field twice"));
    assert!(keyed(&["removed"]).contains("row_key cannot hold the field `removed`"));
    let gone = refusal(table.clone().keyed_by(&["day"]).removed_when("removed", "true")).to_string();
    assert!(gone.contains("removed_when cannot look at the field `removed`"), "{gone}");
    assert_eq!(Catalog::built_in().add(table.keyed_by(&["day"])), Ok(()));
    let refused = refusal(latest("fx:{pair}").keep(0, None));
    assert_eq!(refused.to_string(), "family fx: delivery latest must keep at least 1");
    assert_eq!(Catalog::built_in().add(every("fx:{pair}").keep(0, None)), Ok(()));
}

#[test]
fn a_type_is_named_and_not_the_servers_own() {
    for kind in ["", "heartbeat", "error", "gap"] {
        let refused = refusal(ChannelSpec::of("fx:{pair}", kind, Priority::High, Delivery::Latest));
        assert!(matches!(refused, CatalogError::BadType { .. }), "{refused}");
    }
}

#[test]
fn a_refused_row_leaves_no_trace() {
    let mut catalog = Catalog::built_in();
    let before = catalog.specs().count();
    catalog.add(every("fx:{pair}").rolls_up_to(&["fx", "price_updates"])).unwrap_err();
    assert_eq!(catalog.specs().count(), before);
    assert!(!catalog.resolve("fx").declared && !catalog.resolve("fx:EUR").declared);
    assert_eq!(refusal(every("news")).retry(), Retry::Never);
}

#[test]
fn builder_methods_set_what_they_name() {
    let spec = every("fx:{pair}")
        .keep(5, DAY)
        .keep_bytes(1_024)
        .replay_on_subscribe(2)
        .read(Readers::Own)
        .publish(Publishers::Anyone)
        .idle_ttl(2 * DAY);
    assert_eq!(spec.keep, Keep { count: 5, age: Some(DAY), bytes: Some(1_024) });
    assert_eq!((spec.replay_on_subscribe, spec.idle_ttl), (2, 2 * DAY));
    assert_eq!((spec.read, spec.publish), (Readers::Own, Publishers::Anyone));
    assert_eq!(every("fx:{pair}").keep(5, DAY).idle_ttl, DAY);
    assert_eq!(latest("fx:{pair}").keep(5, DAY).idle_ttl, 14 * DAY);
}
