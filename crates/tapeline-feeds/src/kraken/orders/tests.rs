//! Orders put together out of what has changed in them.

use super::*;

const NOW: Now = Now { mono_us: 1_000_000, wall_us: 0 };

fn change(orders: &mut Orders, raw: &str) -> String {
    orders.merge("O1", raw, Taken::Change, false, NOW).unwrap().json
}

#[test]
fn a_change_goes_out_as_the_whole_order_with_digits_and_the_order_of_fields_as_sent() {
    let mut orders = Orders::default();
    let new = r#"{"order_id":"O1","symbol":"ADX/USD","order_qty":81.36256082,"cum_qty":0.00000000,"exec_type":"pending_new","order_status":"pending_new","timestamp":"t1"}"#;
    assert_eq!(change(&mut orders, new), new);
    let told = change(
        &mut orders,
        r#"{"timestamp":"t2","order_status":"new","exec_type":"new","order_userref":0,"order_id":"O1"}"#,
    );
    assert_eq!(
        told,
        r#"{"order_id":"O1","symbol":"ADX/USD","order_qty":81.36256082,"cum_qty":0.00000000,"order_status":"new","timestamp":"t2","exec_type":"new","order_userref":0}"#
    );
    let merged =
        orders.merge("O1", r#"{"order_id":"O1","exec_type":"canceled"}"#, Taken::Change, true, NOW).unwrap();
    assert_eq!(merged.symbol.as_deref(), Some("ADX/USD"));
}

#[test]
fn what_was_said_of_a_fill_is_not_said_again_with_the_next_event() {
    let mut orders = Orders::default();
    let fill = r#"{"order_id":"O1","exec_type":"trade","exec_id":"E1","last_qty":1.50,"last_price":2.0,"cost":3.0,"fees":[{"asset":"USD","qty":0.1}],"cum_qty":1.50,"reason":"x"}"#;
    assert_eq!(change(&mut orders, fill), fill);
    let told = change(&mut orders, r#"{"order_id":"O1","exec_type":"filled","order_status":"filled"}"#);
    assert_eq!(told, r#"{"order_id":"O1","cum_qty":1.50,"exec_type":"filled","order_status":"filled"}"#);
}

#[test]
fn quantities_of_an_event_that_is_no_fill_are_not_taken() {
    let mut orders = Orders::default();
    let told = change(
        &mut orders,
        r#"{"order_id":"O1","exec_type":"filled","exec_id":"E1","last_qty":1.50,"last_price":2.0,"cum_qty":1.50}"#,
    );
    assert_eq!(told, r#"{"order_id":"O1","exec_type":"filled","cum_qty":1.50}"#);
}

#[test]
fn sums_that_a_fill_changes_and_does_not_say_are_not_known_any_more() {
    let mut orders = Orders::default();
    change(
        &mut orders,
        r#"{"order_id":"O1","exec_type":"new","cum_qty":0.0,"cum_cost":0.0,"limit_price":5.10}"#,
    );
    let told = change(&mut orders, r#"{"order_id":"O1","exec_type":"trade","exec_id":"E1","last_qty":1.5}"#);
    assert_eq!(
        told,
        r#"{"order_id":"O1","limit_price":5.10,"exec_type":"trade","exec_id":"E1","last_qty":1.5}"#
    );
}

#[test]
fn an_old_fill_of_a_snapshot_does_not_turn_the_order_back() {
    let mut orders = Orders::default();
    let whole = r#"{"order_id":"O1","symbol":"A/B","exec_type":"new","order_status":"new"}"#;
    orders.merge("O1", whole, Taken::Whole, false, NOW);
    let fill = r#"{"order_id":"O1","exec_type":"trade","exec_id":"E1","order_status":"partially_filled"}"#;
    let told = orders.merge("O1", fill, Taken::OldFill, false, NOW).unwrap();
    assert_eq!(told.symbol.as_deref(), Some("A/B"));
    assert_eq!(
        change(&mut orders, r#"{"order_id":"O1","exec_type":"status"}"#),
        r#"{"order_id":"O1","symbol":"A/B","order_status":"new","exec_type":"status"}"#
    );
}

#[test]
fn a_snapshot_voids_what_was_known_of_an_order() {
    let mut orders = Orders::default();
    change(&mut orders, r#"{"order_id":"O1","exec_type":"new","display_qty":1}"#);
    let whole = r#"{"order_id":"O1","exec_type":"new","order_qty":2}"#;
    assert_eq!(orders.merge("O1", whole, Taken::Whole, false, NOW).unwrap().json, whole);
}

#[test]
fn finished_orders_are_forgotten_by_and_by_and_so_are_those_that_ended_unseen() {
    let mut orders = Orders::default();
    let event = |orders: &mut Orders, id: &str, is_end, now_us| {
        let raw = format!(r#"{{"order_id":"{id}","exec_type":"x"}}"#);
        orders.merge(id, &raw, Taken::Change, is_end, Now { mono_us: now_us, wall_us: 0 });
    };
    event(&mut orders, "ended", true, 0);
    event(&mut orders, "ended", true, 5);
    event(&mut orders, "unseen", false, 0);
    event(&mut orders, "open", false, 0);
    orders.keep_only(&["open".into()].into_iter().collect(), Now::default());
    assert_eq!(orders.len(), 3);
    event(&mut orders, "open", false, FINISHED_US - 1);
    assert_eq!(orders.len(), 3);
    event(&mut orders, "open", false, FINISHED_US);
    assert_eq!(orders.len(), 1);
}

#[test]
fn an_order_beyond_all_measure_is_not_taken_and_the_one_before_stays() {
    let mut orders = Orders::default();
    let new = r#"{"order_id":"O1","exec_type":"new"}"#;
    change(&mut orders, new);
    let fields = |from: usize, to: usize| {
        let fields: String = (from..to).map(|number| format!(r#","f{number}":1"#)).collect();
        format!(r#"{{"order_id":"O1"{fields}}}"#)
    };
    let long = format!(r#"{{"order_id":"O1","x":"{}"}}"#, "y".repeat(BYTES_LIMIT));
    for wrong in [fields(0, 256), long] {
        assert_eq!(orders.merge("O1", &wrong, Taken::Change, false, NOW), None);
    }
    change(&mut orders, &fields(0, 200));
    assert_eq!(
        orders.merge("O1", &fields(200, 300), Taken::Change, false, NOW),
        None,
        "not by and by either"
    );
    assert!(change(&mut orders, r#"{"f0":2}"#).contains(r#""f0":2,"#));
}

#[test]
fn names_with_escapes_and_values_of_any_shape_are_kept() {
    let mut orders = Orders::default();
    let odd = r#"{"order_id":"O1","a\"b":{"deep":[1.0,null]},"exec_type":"new"}"#;
    assert_eq!(change(&mut orders, odd), odd);
    assert_eq!(orders.merge("O1", "[1]", Taken::Change, false, NOW), None);
}
