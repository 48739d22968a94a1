//! What of a catalogue an AsyncAPI document carries, and what of a document is taken.

use serde_json::json;
use tapeline_schema::EventSchema;

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

#[test]
fn a_name_that_would_be_code_stays_text_in_what_is_written() {
    let mut catalog = Catalog::built_in();
    for name in [r#"x""";__import__('os').system('id');""""#, "x`|1`"] {
        catalog.add(ChannelSpec::of(name, "t", Priority::Low, Delivery::Every)).unwrap();
    }
    let model = Model::read(&crate::asyncapi(&catalog, ABOUT)).unwrap();
    let (python, typescript) = (crate::python(&model, "a test"), crate::typescript(&model, "a test"));
    let ends_a_string = |line: &str| !line.starts_with('#') && line.contains(r#"x""""#);
    assert!(!python.lines().any(ends_a_string), "{python}");
    assert!(python.contains("A message of `x\'\'\';__import__"), "{python}");
    assert!(typescript.contains(r"C extends `x\`|1\``"), "{typescript}");
}

#[test]
fn a_schemas_words_that_would_be_code_stay_text_in_what_is_written() {
    let words = "a\rimport os\n\"\"\" */ alert(1)";
    let schema = json!({"type": "object", "properties": {"n": {"type": "number", "description": words}}});
    let list = json!({"type": "array", "description": words});
    let mut catalog = Catalog::built_in();
    for (name, schema) in [("fx", schema), ("list", list)] {
        let schema = EventSchema::user(name, schema).unwrap();
        catalog.add(ChannelSpec::of(name, "t", Priority::Low, Delivery::Every).schema(schema)).unwrap();
    }
    let model = Model::read(&crate::asyncapi(&catalog, ABOUT)).unwrap();
    let (python, typescript) = (crate::python(&model, "a test"), crate::typescript(&model, "a test"));
    assert!(python.contains("# a\n# import os\n# \"\"\" */ alert(1)\n"), "{python}");
    assert!(python.contains("\n    ''' */ alert(1)\"\"\"\n"), "{python}");
    assert!(typescript.contains("* / alert(1)") && !typescript.contains("*/ alert(1)"), "{typescript}");
}

#[test]
fn a_document_with_names_that_are_none_is_refused_and_says_which() {
    let fx = ChannelSpec::of("fx:{pair}", "t", Priority::Low, Delivery::Every);
    let good = crate::asyncapi(&with(fx.rolls_up_to(&["every_fx"])), ABOUT);
    assert_eq!(Model::read(&good).err(), None);
    let cases = [
        ("fx", "address", json!("fx\nimport os")),
        ("fx", "x-tapeline-family", json!("fx os")),
        ("fx", "x-tapeline-family", json!("fx${string}")),
        ("fx", "x-tapeline-event", json!("Fx: ...\nimport os\nclass Y")),
        ("fx", "x-tapeline-keys", json!(["pair: str; import os"])),
        ("all_every_fx", "address", json!("every fx")),
        ("all_every_fx", "x-tapeline-collects", json!(["fx\r"])),
    ];
    for (id, field, value) in cases {
        let mut document = good.clone();
        document["channels"][id][field] = value;
        let error = Model::read(&document).unwrap_err().to_string();
        assert!(error.contains(&format!("channel {id:?}: ")), "{field}: {error}");
    }
}
