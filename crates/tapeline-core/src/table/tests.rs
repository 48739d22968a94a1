//! Rows, keys and tables by example, and that any grouping of changes leads to a table that existed.

use std::collections::BTreeMap;

use bytes::Bytes;
use tapeline_schema::{Catalog, ChannelSpec, Delivery, Priority};

use super::*;
use crate::testkit::Rng;

fn levels() -> ChannelSpec {
    let catalog = Catalog::built_in();
    ChannelSpec::clone(catalog.family("orderbook_rows").unwrap())
}

fn board(rows: usize) -> ChannelSpec {
    ChannelSpec::of("board:{k}", "row", Priority::High, Delivery::Table).keyed_by(&["id"]).keep(rows, None)
}

fn said(spec: &ChannelSpec, data: &str) -> (String, Rows) {
    let (data, rows) = take_apart(spec, data.as_bytes()).unwrap();
    (text(&data), rows)
}

fn text(data: &Bytes) -> String {
    String::from_utf8(data.to_vec()).unwrap()
}

fn refusal(spec: &ChannelSpec, data: &str) -> String {
    take_apart(spec, data.as_bytes()).unwrap_err().to_string()
}

#[test]
fn one_row_and_many_leave_in_one_form_with_their_bytes_as_they_came() {
    let (data, rows) = said(&board(9), "  {\"id\":\"a\", \"n\": 1.50} ");
    assert_eq!(data, "{\"rows\":[{\"id\":\"a\", \"n\": 1.50}],\"meta\":{},\"snapshot\":false}");
    assert_eq!((rows.len(), rows.extent), (1, Extent::Changes));
    let (data, _) = said(&levels(), "[\"b\",66787.70,0.5]");
    assert_eq!(data, "{\"rows\":[[\"b\",66787.70,0.5]],\"meta\":{},\"snapshot\":false}");
    let many = "{\"meta\":{\"checksum\":7},\"snapshot\":true,\"rows\":[[\"b\",1,2],[\"a\",3,0]]}";
    let (data, rows) = said(&levels(), many);
    assert_eq!(data, "{\"rows\":[[\"b\",1,2]],\"meta\":{\"checksum\":7},\"snapshot\":true}");
    assert_eq!((rows.len(), rows.extent), (1, Extent::Whole));
}

#[test]
fn what_is_no_row_is_refused_by_its_name() {
    let spec = board(9);
    for (data, why) in [
        (
            "7",
            "a table takes a row (an object or array) or {\"rows\":[…],\"meta\":{…},\"snapshot\":true|false}",
        ),
        ("{\"n\":1}", "row 1 has no `id`, which tells the rows of board apart (row_key)"),
        (
            "{\"rows\":[{\"id\":1},{\"n\":1}]}",
            "row 2 has no `id`, which tells the rows of board apart (row_key)",
        ),
        (
            "{\"id\":{}}",
            "row 1: `id` tells rows apart (row_key), so it must be a number, a string, true, false or null",
        ),
        ("{\"rows\":[7]}", "row 1 is neither an object nor an array"),
        ("{\"rows\":7}", "`rows` must be an array of rows"),
        ("{\"rows\":[],\"meta\":[]}", "`meta` must be an object"),
        ("{\"rows\":[],\"snapshot\":1}", "`snapshot` must be true or false"),
    ] {
        assert_eq!(refusal(&spec, data), why);
    }
    assert_eq!(
        refusal(&levels(), "[\"b\"]"),
        "row 1 has no `1`, which tells the rows of orderbook_rows apart (row_key)"
    );
}

#[test]
fn keys_that_are_numbers_compare_as_numbers() {
    let key = |json| RowKey::of(json).unwrap();
    for (one, other) in [
        ("66787.7", "66787.70"),
        ("1e3", "1000.0"),
        ("0", "-0.000"),
        ("0e9", "0"),
        ("-1.5", "-15E-1"),
        ("\"\\u0041\"", "\"A\""),
        ("1e99999999999999999999", "1e99999999999999999999"),
    ] {
        assert_eq!(key(one), key(other), "{one} and {other}");
    }
    for (one, other) in [("1", "\"1\""), ("1", "-1"), ("10", "1"), ("null", "false"), ("1.05", "1.5")] {
        assert_ne!(key(one), key(other), "{one} and {other}");
    }
    assert_eq!(RowKey::of("[1]"), None);
}

#[test]
fn a_row_is_removed_by_saying_so_or_by_the_familys_own_sign() {
    let removed =
        |spec: &ChannelSpec, data: &str| said(spec, data).1.iter().map(|row| row.removed).collect::<Vec<_>>();
    assert_eq!(removed(&board(9), "{\"id\":1,\"removed\":true}"), [true]);
    assert_eq!(removed(&board(9), "{\"id\":1,\"removed\":false}"), [false]);
    assert_eq!(
        removed(&levels(), "{\"rows\":[[\"b\",1,0.0],[\"b\",2,0.5],[\"a\",1,0]]}"),
        [true, false, true]
    );
}

#[test]
fn the_first_message_of_a_table_is_the_whole_of_it() {
    let (spec, mut table) = (board(9), Table::default());
    let (data, rows) = said(&spec, "{\"rows\":[{\"id\":1},{\"id\":2,\"removed\":true}],\"meta\":{\"m\":1}}");
    let Applied::Rewritten(data, _) = table.apply(&spec, &rows, data.as_bytes(), 1) else {
        panic!("as said")
    };
    assert_eq!(text(&data), "{\"rows\":[{\"id\":1}],\"meta\":{\"m\":1},\"snapshot\":true}");
}

#[test]
fn rows_beyond_the_bound_leave_and_everybody_is_told() {
    let (spec, mut table) = (board(2), Table::default());
    let mut take = |data: &str, offset| {
        let (data, rows) = said(&spec, data);
        match table.apply(&spec, &rows, data.as_bytes(), offset) {
            Applied::AsSaid => data,
            Applied::Rewritten(data, _) => text(&data),
        }
    };
    take("{\"id\":1}", 1);
    take("{\"id\":\"b\"}", 2);
    let told = take("{\"id\":3}", 3);
    assert_eq!(told, "{\"rows\":[{\"id\":3},{\"id\":1,\"removed\":true}],\"meta\":{},\"snapshot\":false}");
    assert_eq!(
        text(&table.whole(b"{}").0),
        "{\"rows\":[{\"id\":\"b\"},{\"id\":3}],\"meta\":{},\"snapshot\":true}"
    );
    let after = text(&table.after(2, b"{}").0);
    assert_eq!(after, told);
}

#[test]
fn rows_that_cannot_be_told_as_removed_make_the_message_the_whole_table() {
    let spec =
        ChannelSpec::of("bare:{k}", "row", Priority::High, Delivery::Table).keyed_by(&["0"]).keep(1, None);
    let mut table = Table::default();
    for (data, offset) in [("[1,1]", 1), ("[2,1]", 2)] {
        let (data, rows) = said(&spec, data);
        let Applied::Rewritten(data, _) = table.apply(&spec, &rows, data.as_bytes(), offset) else {
            panic!("as said")
        };
        assert_eq!(text(&data), format!("{{\"rows\":[[{offset},1]],\"meta\":{{}},\"snapshot\":true}}"));
    }
}

/// A table, the plainest way.
#[derive(Clone, Debug, Default, PartialEq)]
struct Plain(BTreeMap<String, String>);

impl Plain {
    fn apply(&mut self, rows: &Rows, data: &[u8]) {
        if rows.extent == Extent::Whole {
            self.0.clear();
        }
        for row in rows.iter() {
            let bytes = String::from_utf8(rows.bytes(row, data).to_vec()).unwrap();
            let key = format!("{:?}", row.key);
            match row.removed {
                true => self.0.remove(&key),
                false => self.0.insert(key, bytes),
            };
        }
    }
}

/// Random messages of a random table, as subscribers get them, with the table that existed after each.
fn history(rng: &mut Rng) -> (ChannelSpec, Table, Vec<(Bytes, Rows, Plain)>) {
    let bound = rng.between(1, 12);
    let spec = if rng.percent(50) { levels().keep(bound, None) } else { board(bound) };
    let (mut table, mut plain, mut history) = (Table::default(), Plain::default(), Vec::new());
    for offset in 1..=rng.between(1, 60) as u64 {
        let rows: Vec<String> = (0..rng.below(5))
            .map(|_| {
                let (key, gone) = (rng.below(8), rng.percent(30));
                match (spec.row_key.len(), gone) {
                    (2, true) => format!("[\"b\",{key}.0,0]"),
                    (2, false) => format!("[\"b\",{key},{offset}.5]"),
                    (_, true) => format!("{{\"id\":{key},\"removed\":true}}"),
                    (_, false) => format!("{{\"id\":{key},\"n\":{offset}}}"),
                }
            })
            .collect();
        let said = format!("{{\"rows\":[{}],\"snapshot\":{}}}", rows.join(","), rng.percent(5));
        let (mut data, mut rows) = take_apart(&spec, said.as_bytes()).unwrap();
        if let Applied::Rewritten(told, other) = table.apply(&spec, &rows, &data, offset) {
            (data, rows) = (told, other);
        }
        plain.apply(&rows, &data);
        assert!(plain.0.len() <= bound, "{} rows, the bound is {bound}", plain.0.len());
        history.push((data, rows, plain.clone()));
    }
    (spec, table, history)
}

#[test]
fn however_messages_are_grouped_a_client_holds_a_table_that_existed() {
    for seed in 0..2_000 {
        let mut rng = Rng::new(seed);
        let (_, _, history) = history(&mut rng);
        let (mut held, mut at) = (Plain::default(), 0);
        while at < history.len() {
            let to = rng.between(at + 1, history.len());
            let mut merging = Merging::default();
            for (data, rows, _) in &history[at..to] {
                merging.apply(rows, data);
            }
            let (data, rows) = merging.write();
            held.apply(&rows, &data);
            assert_eq!(held, history[to - 1].2, "seed {seed}, messages {at}..{to} as one");
            at = to;
        }
    }
}

#[test]
fn what_changed_after_any_offset_leads_to_the_table_that_is() {
    for seed in 0..2_000 {
        let (_, table, history) = history(&mut Rng::new(seed));
        let (_, _, is) = history.last().unwrap();
        for (after, start) in
            std::iter::once(Plain::default()).chain(history.iter().map(|h| h.2.clone())).enumerate()
        {
            let (data, rows) = table.after(after as u64, b"{}");
            let mut held = start;
            held.apply(&rows, &data);
            assert_eq!(held, *is, "seed {seed}, after {after}");
        }
        let (data, rows) = table.whole(b"{}");
        let mut held = Plain::default();
        held.apply(&rows, &data);
        assert_eq!((held, rows.extent), (is.clone(), Extent::Whole), "seed {seed}");
    }
}

#[test]
fn removals_are_forgotten_in_time_and_the_whole_table_told_instead() {
    let (spec, mut table) = (board(10_000), Table::default());
    let mut offset = 0;
    let mut take = |table: &mut Table, data: &str| {
        offset += 1;
        let (data, rows) = said(&spec, data);
        table.apply(&spec, &rows, data.as_bytes(), offset);
    };
    take(&mut table, "{\"id\":\"stays\"}");
    for id in 0..1_500 {
        take(&mut table, &format!("{{\"id\":{id}}}"));
        take(&mut table, &format!("{{\"id\":{id},\"removed\":true}}"));
    }
    assert_eq!(table.after(1, b"{}").1.extent, Extent::Whole);
    assert_eq!(table.after(3_000, b"{}").1.extent, Extent::Changes);
    assert_eq!(table.len(), 1);
}
