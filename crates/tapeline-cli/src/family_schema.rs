//! The `schema` of a family in the configuration: a path to a `.json` file, seen from the configuration's folder, or the
//! JSON Schema itself as an inline table.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;
use tapeline_schema::EventSchema;

/// The schema of a family of this name.
pub(crate) fn read(family: &str, given: &Value, folder: &Path) -> anyhow::Result<EventSchema> {
    let (json, from) = match given {
        Value::String(path) => {
            let path = folder.join(path);
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
            let json = serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))?;
            (json, shown)
        }
        Value::Object(_) => (given.clone(), "the schema".to_owned()),
        _ => bail!("schema is neither a path nor a table"),
    };
    EventSchema::user(family, json).context(from)
}
