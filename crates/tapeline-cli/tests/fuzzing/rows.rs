//! Any bytes as the data of a table: taken apart, held, and told again. A zero byte begins the next message.

use serde_json::value::RawValue;
use tapeline_core::table::{Applied, Rows, Table, take_apart};
use tapeline_schema::{Catalog, ChannelSpec, Delivery, Priority};

/// The check of the target `rows`.
pub(crate) fn check(input: &[u8]) {
    let board = ChannelSpec::of("board:{k}", "row", Priority::High, Delivery::Table).keyed_by(&["id"]);
    let levels = Catalog::built_in().resolve("orderbook_rows:X").spec;
    for spec in [&board.keep(8, None), &*levels] {
        let (mut table, mut offset) = (Table::default(), 0);
        for data in input.split(|byte| *byte == 0) {
            let taken = take_apart(spec, data);
            // Publishers' data is known to be JSON before it comes here; anything else must only do no harm.
            if serde_json::from_slice::<&RawValue>(data).is_err() {
                continue;
            }
            match taken {
                Ok((data, rows)) => {
                    offset += 1;
                    sound(&rows, &data);
                    if let Applied::Rewritten(data, rows) = table.apply(spec, &rows, &data, offset) {
                        sound(&rows, &data);
                    }
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        for (data, rows) in [table.whole(b"{}"), table.after(offset / 2, b"{}")] {
            sound(&rows, &data);
        }
    }
}

/// What subscribers are sent is JSON, and its rows lie where it says.
fn sound(rows: &Rows, data: &[u8]) {
    let text = std::str::from_utf8(data).expect("what is told is text");
    serde_json::from_str::<&RawValue>(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    for row in rows.iter() {
        serde_json::from_slice::<&RawValue>(rows.bytes(row, data)).expect("a row is JSON");
    }
    let meta: &RawValue = serde_json::from_slice(rows.meta(data)).expect("meta is JSON");
    assert!(meta.get().starts_with('{'));
}
