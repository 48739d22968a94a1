//! Which declared name is suggested for an undeclared one, and for which none is.
//!
//! Owns the slips that people make. Refuses to know how they are weighed.

use std::time::Instant;

use proptest::prelude::*;

use super::*;

#[test]
fn slips_in_the_family_and_wrong_separators_lead_to_the_family() {
    let catalog = Catalog::built_in();
    for (name, meant) in [
        ("market-data:AAPL", "market_data:AAPL"),
        ("marketdata:AAPL", "market_data:AAPL"),
        ("market_dta:AAPL", "market_data:AAPL"),
        ("market_dtaa:AAPL", "market_data:AAPL"),
        ("market_data.AAPL", "market_data:AAPL"),
        ("market_data/AAPL", "market_data:AAPL"),
        ("market-data-AAPL", "market_data:AAPL"),
        ("MARKET_DATA:AAPL", "market_data:AAPL"),
        ("marketData:BTC/USD", "market_data:BTC/USD"),
        ("trade:p1", "trades:p1"),
        ("trades.portfolio-123", "trades:portfolio-123"),
        ("trades_p1", "trades:p1"),
        ("order_book:BTC/USD", "orderbook:BTC/USD"),
        ("ohcl:BTC/USD:1m", "ohlc:BTC/USD:1m"),
        ("orderstatus:o1", "order_status:o1"),
        ("training.status.exp_1", "training.status:exp_1"),
        ("training.stauts:exp_1", "training.status:exp_1"),
        ("training_progress:exp_1", "training.progress:exp_1"),
        ("training.logs:exp_1", "training.log:exp_1"),
        ("position:p1", "positions:p1"),
        ("dead-letters:redis", "dead_letters:redis"),
    ] {
        assert_eq!(catalog.suggest(name).as_deref(), Some(meant), "{name}");
    }
}

#[test]
fn a_roll_ups_name_before_a_key_leads_to_the_family_behind_it() {
    let catalog = Catalog::built_in();
    assert_eq!(catalog.suggest("orders:o1").as_deref(), Some("order_status:o1"));
    assert_eq!(catalog.suggest("price_updates:AAPL").as_deref(), Some("market_data:AAPL"));
    assert_eq!(catalog.suggest("price-update:AAPL").as_deref(), Some("market_data:AAPL"));
}

#[test]
fn bare_names_lead_to_bare_families_and_roll_ups() {
    let catalog = Catalog::built_in();
    for (name, meant) in [
        ("quantum-signals", "quantum_signals"),
        ("quantum_signal", "quantum_signals"),
        ("priceupdates", "price_updates"),
        ("trade", "trades"),
        ("market_data:", "market_data"),
        ("news:tech", "news"),
        ("agent_status:a1", "agent_status"),
        ("training-status", "training.status"),
    ] {
        assert_eq!(catalog.suggest(name).as_deref(), Some(meant), "{name}");
    }
}

#[test]
fn nothing_is_suggested_for_declared_unlike_keyless_or_illegal_names() {
    let catalog = Catalog::built_in();
    for name in [
        "market_data:AAPL",
        "trades",
        "news",
        "chat",
        "my-app.events",
        "room:42",
        "ohlc:BTC",
        "portfolio",
        "notifications",
        "weather:berlin",
        "x",
        "market data:AAPL",
        "",
        "market_data:a,b",
    ] {
        assert_eq!(catalog.suggest(name), None, "{name}");
    }
    assert_eq!(Catalog::empty().suggest("market-data:AAPL"), None);
}

#[test]
fn the_longest_names_are_compared_quickly() {
    let catalog = Catalog::built_in();
    let start = Instant::now();
    for unit in [":", "a:", "-", "a.", "market_data", "_:"] {
        let name: String = unit.repeat(128).chars().take(128).collect();
        catalog.suggest(&name);
    }
    assert!(start.elapsed().as_secs() < 1, "{:?}", start.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_suggested_is_legal_declared_and_another_name(
        name in "(market|trade|order|news|training|ohlc)[-_.:a-z]{0,12}[:./-]?[A-Z:]{0,4}"
    ) {
        let catalog = Catalog::built_in();
        if let Some(meant) = catalog.suggest(&name) {
            prop_assert!(catalog.resolve(&meant).declared);
            prop_assert!(crate::name::check_name(&meant).is_ok());
            prop_assert_ne!(meant, name);
        }
    }
}
