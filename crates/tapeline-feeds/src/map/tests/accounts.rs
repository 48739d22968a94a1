//! Orders and balances: whose they are, and that a balance always means the asset's total.

use super::*;

fn owned() -> Desk {
    let symbols = BTreeMap::from([("BTC/USD".to_owned(), "BTC-USD".to_owned())]);
    let (account, owner) = (Some("main".to_owned()), Some("alice".to_owned()));
    Desk::with(MapConfig { symbols, account, owner, ..MapConfig::default() })
}

#[test]
fn an_execution_goes_to_the_account_and_to_the_order_and_both_are_the_owners() {
    let mut desk = owned();
    let data = r#"{"order_id":"O-1","exec_id":"E-1","exec_type":"trade","symbol":"BTC/USD","last_qty":0.50,"cum_qty":0.50,"order_qty":2.00,"order_status":"partially_filled"}"#;
    let execution = Update {
        id: Some("E-1".into()),
        symbol: Some("BTC/USD".into()),
        ..update(VenueChannel::Executions, None, data)
    };
    assert_eq!(desk.take(&[Event::Update(execution)]), []);
    for publication in &desk.due {
        assert_eq!(publication.owner.as_deref(), Some("alice"));
        assert_eq!(publication.idempotency_key.as_deref(), Some("E-1"));
    }
    let said_now: Vec<_> = desk.due.drain(..).map(told).collect();
    let renamed = data.replace("BTC/USD", "BTC-USD");
    let status = r#"{"order_id":"O-1","status":"partially_filled","symbol":"BTC-USD","filled":0.50,"remaining":1.50,"owner":"alice"}"#;
    assert_eq!(said_now, [said("executions:main", &renamed), said("order_status:O-1", status)]);
}

#[test]
fn what_is_not_known_of_an_order_is_left_away() {
    let mut desk = Desk::new();
    let data = r#"{"order_id":"O-2","exec_type":"new"}"#;
    let told = desk.said(&[Event::Update(update(VenueChannel::Executions, None, data))]);
    let status = r#"{"order_id":"O-2","status":"new"}"#;
    assert_eq!(told, [said("executions:kraken", data), said("order_status:O-2", status)]);
    let without = update(VenueChannel::Executions, None, r#"{"exec_type":"new"}"#);
    let untold = desk.take(&[Event::Update(without)]);
    assert_eq!(untold[0].to_string(), "executions: it has no order_id");
    assert_eq!(desk.due.len(), 1, "the account's own channel has it");
}

#[test]
fn a_fill_that_does_not_say_how_its_order_stands_is_no_status() {
    let mut desk = Desk::new();
    let data = r#"{"order_id":"O-2","exec_type":"trade","exec_id":"E-1"}"#;
    let told = desk.said(&[Event::Update(update(VenueChannel::Executions, None, data))]);
    assert_eq!(told, [said("executions:kraken", data)]);
}

fn balances(kind: UpdateKind, data: &str) -> Event {
    Event::Update(Update { kind, ..update(VenueChannel::Balances, None, data) })
}

const SNAPSHOT: &str = r#"[{"asset":"USD","asset_class":"currency","balance":160.2405,"wallets":[{"type":"spot","id":"main","balance":100.2405},{"type":"earn","id":"flex","balance":60.00}]},{"asset":"KAR","asset_class":"currency","balance":774.6366982600,"wallets":[]}]"#;

fn entry(asset: &str, wallet: (&str, &str), amount: &str, fee: &str, balance: &str) -> String {
    let (kind, id) = wallet;
    format!(
        r#"{{"ledger_id":"L","asset":"{asset}","wallet_type":"{kind}","wallet_id":"{id}","amount":{amount},"fee":{fee},"balance":{balance}}}"#
    )
}

#[test]
fn a_snapshot_replaces_the_table_as_the_venue_says_it() {
    let told = Desk::new().said(&[balances(UpdateKind::Snapshot, SNAPSHOT)]);
    let data = format!(r#"{{"rows":{SNAPSHOT},"meta":{{}},"snapshot":true}}"#);
    assert_eq!(told, [said("balances:kraken", &data)]);
}

#[test]
fn an_entry_of_one_wallet_becomes_a_row_with_the_assets_total() {
    let mut desk = Desk::new();
    desk.said(&[balances(UpdateKind::Snapshot, SNAPSHOT)]);
    let mut total_after = |entry: &str| {
        let told = desk.said(&[balances(UpdateKind::Change, &format!("[{entry}]"))]);
        let row = told[0].1.strip_prefix("{\"rows\":[").unwrap().to_owned();
        assert!(row.ends_with(&format!("\"entry\":{entry}}}],\"meta\":{{}},\"snapshot\":false}}")), "{row}");
        row.split_once(",\"wallets\"").unwrap().0.to_owned()
    };
    // The wallet is known: the total follows its balance, whatever amount and fee say.
    let row = total_after(&entry("USD", ("spot", "main"), "-19.9743", "0.0499", "80.2163"));
    assert_eq!(row, r#"{"asset":"USD","balance":140.2163"#);
    // A transfer between wallets changes both and the total not at all.
    total_after(&entry("USD", ("spot", "main"), "-10", "0", "70.2163"));
    let row = total_after(&entry("USD", ("earn", "flex"), "10", "0", "70.00"));
    assert_eq!(row, r#"{"asset":"USD","balance":140.2163"#);
    // The wallet is not known: amount less fee.
    let row = total_after(&entry("KAR", ("spot", "main"), "0.3633017400", "0.5", "774.5"));
    assert_eq!(row, r#"{"asset":"KAR","balance":774.5000000000"#);
    // Of an asset that the snapshot did not name there was nothing.
    let row = total_after(&entry("BTC", ("spot", "main"), "0.50", "0.01", "0.49"));
    assert_eq!(row, r#"{"asset":"BTC","balance":0.49"#);
    // Without an amount of an unknown wallet nobody can know.
    let unknown = r#"{"asset":"KAR","wallet_type":"earn","wallet_id":"flex","balance":1}"#;
    assert_eq!(total_after(unknown), r#"{"asset":"KAR""#);
}

#[test]
fn without_a_snapshot_no_total_is_made_up() {
    let entry = entry("USD", ("spot", "main"), "1", "0", "5");
    let told = Desk::new().said(&[balances(UpdateKind::Change, &format!("[{entry}]"))]);
    assert!(
        told[0]
            .1
            .starts_with(r#"{"rows":[{"asset":"USD","wallets":[{"type":"spot","id":"main","balance":5}]"#)
    );
}

#[test]
fn half_a_message_moves_no_total() {
    let mut desk = Desk::new();
    desk.said(&[balances(UpdateKind::Snapshot, SNAPSHOT)]);
    let good = entry("USD", ("spot", "main"), "-1", "0", "99.2405");
    let untold = desk.take(&[balances(UpdateKind::Change, &format!("[{good},{{\"asset\":7}}]"))]);
    assert!(matches!(untold[..], [Untold::Malformed { .. }]));
    let told = desk.said(&[balances(UpdateKind::Change, &format!("[{good}]"))]);
    assert!(told[0].1.contains(r#""balance":159.2405,"wallets""#), "{}", told[0].1);
}
