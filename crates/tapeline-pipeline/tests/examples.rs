//! Each example, run as a user runs it: what it prints is what it promises.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::PathBuf;
use std::process::Command;

/// What the example of this name prints.
fn printed(name: &str, arguments: &[&str]) -> String {
    // Beside this test: `target/debug/deps/examples-…` and `target/debug/examples/…`.
    let test = std::env::current_exe().unwrap();
    let example: PathBuf = test.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(example.exists(), "build it first: cargo build -p tapeline-pipeline --example {name}");
    let run = Command::new(example).args(arguments).output().unwrap();
    let (out, errors) =
        (String::from_utf8(run.stdout).unwrap(), String::from_utf8_lossy(&run.stderr).into_owned());
    assert!(run.status.success(), "{out}\n{errors}");
    out
}

/// Lines may come in another order where components run beside each other.
fn holds(printed: &str, lines: &[&str]) {
    for line in lines {
        assert!(printed.lines().any(|told| told == *line), "{line:?} is not in\n{printed}");
    }
}

#[test]
fn basic_finds_three_components_and_feeds_them() {
    let told = printed("basic", &[]);
    holds(
        &told,
        &[
            r#"balance_manager    {"BTC":{"asset":"BTC","balance":1.20},"USD":{"asset":"USD","balance":500.00}}"#,
            r#"trade_executor     BTC/USD ticker {"symbol":"BTC/USD","last":65972.80}"#,
            "strategy_manager   BTC/USD is at 65972.8",
            r#"trade_executor     execution {"order_id":"O1","exec_type":"trade","last_qty":0.10}"#,
            "source             balances: Accepted",
            "3 messages processed",
            "balance_manager: 1 delivered, 1 skipped",
            "trade_executor: 2 delivered, 0 skipped",
        ],
    );
}

#[test]
fn advanced_feeds_a_strategy_from_captured_messages_with_decimals_as_text() {
    let told = printed("advanced", &[]);
    let last = told.lines().find_map(|line| line.strip_prefix("strategy  ")?.split_once(" last ")).unwrap();
    assert!(last.1.parse::<f64>().is_ok_and(|last| last > 0.0), "{told}");
    assert!(told.lines().any(|line| line.starts_with("callback  ") && line.ends_with(" traded")), "{told}");
    let accepted =
        |line: &str| line.strip_prefix("decimal_strategy: ")?.split(' ').next()?.parse::<u64>().ok();
    assert!(told.lines().find_map(accepted).is_some_and(|accepted| accepted > 0), "{told}");
}

#[test]
fn custom_component_hears_a_hub_and_what_it_refuses_is_a_dead_letter() {
    let told = printed("custom_component", &[]);
    holds(
        &told,
        &[
            "ticker -> no method, skipped and counted",
            "book -> on_orderbook_update",
            "balances -> on_balances_update",
            "BTC/USD: the spread is 0.10",
            "ETH/USD: the spread is 0.50",
            "poured: 3 accepted, 0 left out",
            r#"dead letters of my_custom_analyzer: {"validation": 1}"#,
        ],
    );
}

#[test]
fn monitoring_tells_of_a_component_that_fails_and_recovers() {
    let told = printed("monitoring", &[]);
    holds(
        &told,
        &[
            "alert raised: breaker_open:strategy_manager of demo",
            "healthy: false",
            "alert resolved: breaker_open:strategy_manager of demo",
            "dead letter: max_retries of strategy_manager: no connection to the database",
        ],
    );
    for start in ["throughput ", "latency ", "memory ", "exported "] {
        assert!(told.lines().any(|line| line.starts_with(start)), "{start}\n{told}");
    }
}

#[test]
fn stress_ends_with_accounts_that_balance() {
    let told = printed("stress", &["20000"]);
    assert!(told.starts_with("20000 messages pushed in "), "{told}");
    for component in ["fast ", "slow ", "failing ", "panicking "] {
        let row = told.lines().find(|line| line.starts_with(component)).unwrap_or_else(|| panic!("{told}"));
        assert_eq!(row.split_whitespace().nth(1), Some("20000"), "{told}");
        assert_eq!(row.split_whitespace().last(), Some("0"), "nothing is left in queues\n{told}");
    }
    assert!(told.ends_with("every account balances\n"), "{told}");
}
