//! Numbers and ids of an account's messages.

use super::*;
use crate::kraken::message::Message;

const NOW: Now = Now { mono_us: 1_000_000, wall_us: 0 };

fn executions(account: &mut Account, text: &str, counts: &mut Counts) -> Vec<Told> {
    let Ok(Message::Executions(items)) = Message::parse(text) else { panic!("{text}") };
    account.handle_executions(&items, true, NOW, counts)
}

fn balances(account: &mut Account, text: &str, counts: &mut Counts) -> Option<Told> {
    let Ok(Message::Balances(balances)) = Message::parse(text) else { panic!("{text}") };
    account.handle_balances(&balances, counts)
}

#[test]
fn numbers_tell_what_is_next_repeated_missing_or_strange() {
    let mut sequence = Sequence::default();
    let change = |sequence: &mut Sequence, number| sequence.handle(UpdateKind::Change, Some(number));
    assert_eq!(sequence.handle(UpdateKind::Snapshot, Some(1)), Numbered::Next);
    assert_eq!(change(&mut sequence, 2), Numbered::Next);
    assert_eq!(change(&mut sequence, 2), Numbered::Repeated);
    assert_eq!(change(&mut sequence, 5), Numbered::After(3, 4));
    assert_eq!(sequence.handle(UpdateKind::Change, None), Numbered::Next);
    for number in 1..=7 {
        assert_eq!(change(&mut sequence, number % 5), Numbered::Repeated);
    }
    assert_eq!(change(&mut sequence, 4), Numbered::Strange);
}

#[test]
fn without_its_snapshot_the_first_change_shows_that_one_is_missing() {
    let mut sequence = Sequence::default();
    assert_eq!(sequence.handle(UpdateKind::Change, Some(2)), Numbered::After(1, 1));
}

#[test]
fn a_fill_is_told_once_though_a_snapshot_brings_it_again() {
    let (mut account, mut counts) = (Account::new(), Counts::default());
    let fill = r#"{"order_id":"O1","exec_id":"E1","exec_type":"trade","symbol":"A/B","order_status":"filled","timestamp":"t"}"#;
    let update = format!(r#"{{"channel":"executions","type":"update","data":[{fill}],"sequence":2}}"#);
    let told = executions(&mut account, &update, &mut counts);
    assert_eq!((told.len(), told[0].id.as_deref(), told[0].symbol.as_deref()), (1, Some("E1"), Some("A/B")));
    let snapshot = update.replace("update", "snapshot");
    assert_eq!(executions(&mut account, &snapshot, &mut counts), []);
    assert_eq!(counts.repeated, 1);
}

#[test]
fn the_end_of_an_order_is_told_though_it_names_its_last_fill() {
    let (mut account, mut counts) = (Account::new(), Counts::default());
    let event = |kind: &str| {
        format!(
            r#"{{"channel":"executions","type":"update","sequence":2,"data":[{{"order_id":"O1","exec_id":"E1","exec_type":"{kind}","timestamp":"t"}}]}}"#
        )
    };
    executions(&mut account, &event("trade"), &mut counts);
    let told = executions(&mut account, &event("filled"), &mut counts);
    assert_eq!(told[0].id.as_deref(), Some("O1:filled:t"));
    assert!(!told[0].data.contains("E1"));
}

/// Type, status, `cum_qty` and id of what is told.
fn told(told: &[Told]) -> Vec<(String, Option<String>, String, Option<String>)> {
    let of = |told: &Told| {
        let data: serde_json::Value = serde_json::from_str(&told.data).unwrap();
        let word = |name: &str| data[name].as_str().map(str::to_string);
        (word("exec_type").unwrap(), word("order_status"), data["cum_qty"].to_string(), told.id.clone())
    };
    told.iter().map(of).collect()
}

#[test]
fn an_open_order_of_a_snapshot_is_no_repeat_and_comes_after_its_old_fills_in_their_order() {
    let (mut account, mut counts) = (Account::new(), Counts::default());
    let new = |qty: &str| {
        format!(
            r#"{{"order_id":"O1","exec_type":"new","order_status":"new","cum_qty":{qty},"timestamp":"2024-05-18T12:00:00Z"}}"#
        )
    };
    let fill = |order: &str, exec: &str, status: &str, time: &str| {
        format!(
            r#"{{"order_id":"{order}","exec_id":"{exec}","exec_type":"trade","order_status":"{status}","cum_qty":1,"timestamp":"{time}"}}"#
        )
    };
    let message = |kind: &str, items: &[String]| {
        format!(r#"{{"channel":"executions","type":"{kind}","data":[{}],"sequence":1}}"#, items.join(","))
    };
    let first = executions(&mut account, &message("update", &[new("0")]), &mut counts);
    let items = [
        new("1.5"),
        fill("O2", "E3", "filled", "2024-05-18T12:00:03Z"),
        fill("O2", "E2", "partially_filled", "2024-05-18T12:00:02.5Z"),
        fill("O1", "E1", "partially_filled", "2024-05-18T12:00:01Z"),
    ];
    let snapshot = executions(&mut account, &message("snapshot", &items), &mut counts);
    assert_eq!(told(&first)[0].3.as_deref(), Some("O1:new:2024-05-18T12:00:00Z"));
    let text = |text: &str| Some(text.to_string());
    assert_eq!(
        told(&snapshot),
        [
            ("trade".into(), None, "1".into(), text("E1")),
            ("trade".into(), text("partially_filled"), "1".into(), text("E2")),
            ("trade".into(), text("filled"), "1".into(), text("E3")),
            ("new".into(), text("new"), "1.5".into(), None),
        ]
    );
}

#[test]
fn an_order_that_a_snapshot_names_only_by_its_fills_is_not_open() {
    let (mut account, mut counts) = (Account::new(), Counts::default());
    let new = r#"{"channel":"executions","type":"update","data":[{"order_id":"O1","exec_type":"new"}],"sequence":2}"#;
    executions(&mut account, new, &mut counts);
    let fill = r#"{"channel":"executions","type":"snapshot","data":[{"order_id":"O1","exec_id":"E1","exec_type":"trade"}],"sequence":1}"#;
    executions(&mut account, fill, &mut counts);
    let later = Now { mono_us: NOW.mono_us + 3_600_000_000, ..NOW };
    account.orders.keep_only(&HashSet::default(), later);
    account.orders.merge("O2", "{}", Taken::Change, false, later);
    assert_eq!(account.orders.len(), 1, "it was finished, and is forgotten");
}

#[test]
fn ledger_entries_are_told_once_in_one_list_a_message() {
    let (mut account, mut counts) = (Account::new(), Counts::default());
    let entry =
        |id: &str| format!(r#"{{"ledger_id":"{id}","asset":"USD","amount":-19.9740,"timestamp":"t-{id}"}}"#);
    let message = |entries: &[String]| {
        format!(r#"{{"channel":"balances","type":"update","sequence":2,"data":[{}]}}"#, entries.join(","))
    };
    let told = balances(&mut account, &message(&[entry("L1"), entry("L2")]), &mut counts).unwrap();
    assert_eq!(told.data, format!("[{},{}]", entry("L1"), entry("L2")));
    assert_eq!((told.id.as_deref(), told.timestamp.as_deref()), (Some("L1,L2"), Some("t-L2")));
    let told = balances(&mut account, &message(&[entry("L2"), entry("L3")]), &mut counts).unwrap();
    assert_eq!((told.data, told.id.as_deref()), (format!("[{}]", entry("L3")), Some("L3")));
    assert_eq!(balances(&mut account, &message(&[entry("L1")]), &mut counts), None);
    assert_eq!(counts.repeated, 2);
}

#[test]
fn what_an_account_holds_goes_out_as_it_came() {
    let (mut account, mut counts) = (Account::new(), Counts::default());
    let data = r#"[{"asset":"KAR","balance":774.6366982600,"wallets":[]}]"#;
    let snapshot = format!(r#"{{"channel":"balances","type":"snapshot","data":{data},"sequence":1}}"#);
    let told = balances(&mut account, &snapshot, &mut counts).unwrap();
    assert_eq!((told.kind, told.data.as_str(), told.id), (UpdateKind::Snapshot, data, None));
}
