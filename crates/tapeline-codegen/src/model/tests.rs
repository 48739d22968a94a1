//! What of a catalogue an AsyncAPI document carries, and what of a document is taken.

use serde_json::json;

use super::*;
use crate::About;

const ABOUT: About<'_> = About { by: "a test", host: "127.0.0.1:8000" };

fn with(spec: ChannelSpec) -> Catalog {
    let mut catalog = Catalog::built_in();
    catalog.add(spec).unwrap();
    catalog
}

#[test]
fn a_document_read_back_is_the_catalogue_it_was_made_of() {
    let risk = ChannelSpec::of("risk:{desk}", "risk", Priority::Low, Delivery::Table).keyed_by(&["symbol"]);
    let catalog = with(risk.removed_when("qty", "0"));
    let read = Model::read(&crate::asyncapi(&catalog, ABOUT)).unwrap();
    assert_eq!(read.roll_ups, Model::of(&catalog).roll_ups);
    for (read, known) in read.families.iter().zip(Model::of(&catalog).families) {
        assert_eq!(Family { schema: None, ..read.clone() }, Family { schema: None, ..known });
    }
}

#[test]
fn a_document_tells_which_rows_are_gone_beside_what_tells_them_apart() {
    let risk = ChannelSpec::of("risk:{desk}", "risk", Priority::Low, Delivery::Table).keyed_by(&["symbol"]);
    let document = crate::asyncapi(&with(risk.removed_when("qty", "0")), ABOUT);
    let told = |id: &str| document["channels"][id]["x-tapeline-removed-when"].clone();
    assert_eq!(told("risk"), json!({"field": "qty", "equals": 0}));
    assert_eq!(told("orderbook_rows"), json!({"field": "2", "equals": 0}));
    assert_eq!(told("positions"), Value::Null);
}
