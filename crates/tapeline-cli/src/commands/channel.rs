//! `tapeline channel`: the families of a running hub, listed, added until it ends, and removed.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use serde_json::Value;
use tapeline_gateway::admin::{Changed, FamilyOrigin, Listed, Listing};
use tapeline_schema::{Compress, Delivery, Family, FamilyKeep, FamilyRemovedWhen, Priority};

use super::access::Access;
use super::hub_url::HubUrl;
use super::output::{Output, columns, grouped, lines_shown, shown};
use super::request::{Asker, encoded};
use crate::config::{family_toml, read_schema};

/// Show, add and remove the families of a running hub.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tapeline channel list\n  tapeline channel add 'fx:{pair}' --type fx_rate --delivery latest --rolls-up-to fx\n  tapeline channel remove fx"
)]
pub(crate) struct Channel {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Declare a family until the hub ends.
    Add(Box<Add>),
    /// Show every family, where it was declared and how much it is used.
    List(List),
    /// Take a family away that is not built in.
    Remove(Remove),
}

/// Declare a family until the hub ends.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tapeline channel add 'fx:{pair}' --type fx_rate --delivery latest --rolls-up-to fx\n  tapeline channel add 'fills:{account}' --type fill --priority critical --keep-count 10000 --keep-age 7d\n  tapeline channel add 'risk:{desk}' --type risk --delivery table --row-key symbol\n  tapeline channel add 'signals:{desk}' --type signal --schema signal.schema.json"
)]
struct Add {
    /// NAME:{key}, or a bare name.
    #[arg(value_name = "TEMPLATE")]
    template: String,
    /// The type of its messages.
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// critical, high, medium or low.
    #[arg(long, default_value = "medium", value_parser = word::<Priority>)]
    priority: Priority,
    /// latest, table or every.
    #[arg(long, default_value = "every", value_parser = word::<Delivery>)]
    delivery: Delivery,
    /// Messages kept of each channel; for a table rows.
    #[arg(long, value_name = "N")]
    keep_count: Option<usize>,
    /// How long they are kept: 90s, 15m, 24h, 7d.
    #[arg(long, value_name = "AGE")]
    keep_age: Option<Age>,
    /// Bytes kept of each channel.
    #[arg(long, value_name = "N")]
    keep_bytes: Option<usize>,
    /// Fields that tell a table's rows apart.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    row_key: Vec<String>,
    /// Rows of a table with this value, written as JSON, are deleted.
    #[arg(long, value_name = "FIELD=JSON", value_parser = removed_when)]
    removed_when: Option<FamilyRemovedWhen>,
    /// Names that collect its channels.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    rolls_up_to: Vec<String>,
    /// Messages a second for a subscriber who asks for no rate.
    #[arg(long, value_name = "N")]
    max_rate: Option<u32>,
    /// Forget a channel after so long without a message.
    #[arg(long, value_name = "AGE")]
    idle_ttl: Option<Age>,
    /// auto, or never: whether its messages are compressed for clients that can take it.
    #[arg(long, default_value = "auto", value_parser = word::<Compress>)]
    compress: Compress,
    /// A JSON Schema that its payloads, or a table's rows, must match.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Where the hub is; it answers to this machine alone.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
}

/// Show every family, where it was declared and how much it is used.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  tapeline channel list\n  tapeline channel list --json")]
struct List {
    /// Where the hub is.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
    /// Print the hub's answer as it came.
    #[arg(long)]
    json: bool,
}

/// Take a family away that is not built in.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tapeline channel remove fx")]
struct Remove {
    /// Its name: the template up to the first colon.
    #[arg(value_name = "FAMILY")]
    family: String,
    /// Where the hub is; it answers to this machine alone.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
}

/// A word of the catalogue.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_string())).map_err(|error| error.to_string())
}

fn removed_when(text: &str) -> Result<FamilyRemovedWhen, String> {
    let (field, equals) = text.split_once('=').ok_or("expected a field and a value, such as qty=0")?;
    Ok(FamilyRemovedWhen { field: field.to_string(), equals: equals.to_string() })
}

/// Seconds, written with a unit or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Age(pub(super) u64);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit = match text.get(digits.len()..) {
            Some("" | "s") => 1,
            Some("m" | "min") => 60,
            Some("h") => 3_600,
            Some("d") => 86_400,
            _ => return Err("expected a time such as 90s, 15m, 24h or 7d".to_string()),
        };
        let number: u64 = digits.parse().map_err(|_| format!("{digits:?} is not a whole number"))?;
        number.checked_mul(unit).map(Age).ok_or_else(|| "that is longer than time".to_string())
    }
}

impl Channel {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let text = match self.action {
            Action::Add(add) => add.run()?,
            Action::List(list) => list.run()?,
            Action::Remove(remove) => remove.run()?,
        };
        let mut out = Output::new();
        out.lines(&text)?;
        out.flush()
    }
}

impl Add {
    fn family(&self) -> anyhow::Result<Family> {
        let schema = self.schema.as_deref().map(read_schema).transpose().map_err(anyhow::Error::msg)?;
        let age_s = self.keep_age.map(|Age(seconds)| seconds);
        let keep = FamilyKeep { count: self.keep_count, age_s, bytes: self.keep_bytes };
        Ok(Family {
            template: self.template.clone(),
            kind: self.kind.clone(),
            priority: self.priority,
            delivery: self.delivery,
            row_key: self.row_key.clone(),
            rolls_up_to: self.rolls_up_to.clone(),
            max_rate: self.max_rate,
            idle_ttl_s: self.idle_ttl.map(|Age(seconds)| seconds),
            read: None,
            publish: None,
            removed_when: self.removed_when.clone(),
            keep: (keep != FamilyKeep::default()).then_some(keep),
            compress: self.compress,
            schema,
        })
    }

    fn run(self) -> anyhow::Result<String> {
        let mut family = self.family()?;
        let body = serde_json::to_string(&family).context("the family cannot be written as JSON")?;
        let told = changed(&Asker::new(self.url.with(&self.access)).post_json("/admin/channels", &body)?)?;
        // What is printed is for a file that names the schema's, and that may lie in any folder.
        let path = self.schema.as_deref().map(std::path::absolute).transpose();
        let path = path.context("the folder that the schema lies in is not known")?;
        family.schema = path.map(|path| path.display().to_string().into());
        let said = format!(
            "family {} was added{}; {}:\n\n{}",
            told.family,
            ended(&told),
            told.note,
            family_toml(&family)
        );
        Ok(lines_shown(&said))
    }
}

impl Remove {
    fn run(self) -> anyhow::Result<String> {
        let path = format!("/admin/channels/{}", encoded(&self.family));
        let told = changed(&Asker::new(self.url.with(&self.access)).delete(&path)?)?;
        let said = format!("family {} was removed{}; {}", told.family, ended(&told), told.note);
        Ok(shown(&said).into_owned())
    }
}

fn changed(body: &str) -> anyhow::Result<Changed> {
    serde_json::from_str(body).context("the answer is not a hub's")
}

fn ended(told: &Changed) -> String {
    match told.channels_ended {
        0 => String::new(),
        1 => ", 1 channel in use begins anew".to_string(),
        more => format!(", {more} channels in use begin anew"),
    }
}

impl List {
    fn run(self) -> anyhow::Result<String> {
        let body = Asker::new(self.url.with(&self.access)).read("/channels")?;
        if self.json {
            return Ok(body + "\n");
        }
        let listing: Listing = serde_json::from_str(&body).context("the answer is not a hub's")?;
        Ok(table(&listing.channels))
    }
}

fn table(families: &[Listed]) -> String {
    let head = [
        "family",
        "type",
        "priority",
        "delivery",
        "kept",
        "rolls up to",
        "origin",
        "channels",
        "subscribers",
    ];
    let mut rows = vec![head.map(str::to_string)];
    rows.extend(families.iter().map(cells));
    // Numbers to the right.
    columns(&rows, 7..9)
}

fn cells(family: &Listed) -> [String; 9] {
    let word =
        |key: &str| shown(family.row.get(key).and_then(Value::as_str).unwrap_or_default()).into_owned();
    let roll_ups = family.row.get("rolls_up_to").and_then(Value::as_array);
    let roll_ups: Vec<&str> = roll_ups.into_iter().flatten().filter_map(Value::as_str).collect();
    let origin = match family.origin {
        FamilyOrigin::BuiltIn => "built in",
        FamilyOrigin::File => "file",
        FamilyOrigin::Live => "live",
    };
    [
        word("template"),
        word("type"),
        word("priority"),
        word("delivery"),
        kept(family.row.get("keep")),
        shown(&roll_ups.join(", ")).into_owned(),
        origin.to_string(),
        grouped(family.channels as u64),
        grouped(family.subscribers as u64),
    ]
}

/// `10,000 / 7 d`
fn kept(keep: Option<&Value>) -> String {
    let number = |key: &str| keep.and_then(|keep| keep.get(key)).and_then(Value::as_u64);
    let mut parts: Vec<String> = number("count").map(grouped).into_iter().collect();
    parts.extend(number("age_s").map(|seconds| match seconds {
        day if day > 0 && day.is_multiple_of(86_400) => format!("{} d", day / 86_400),
        other => format!("{other} s"),
    }));
    parts.extend(number("bytes").map(|bytes| format!("{} bytes", grouped(bytes))));
    parts.join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_with_their_units() {
        let read = ["90", "90s", "15m", "24h", "7d"].map(|text| text.parse::<Age>().unwrap().0);
        assert_eq!(read, [90, 90, 900, 86_400, 604_800]);
        for bad in ["", "d", "7w", "-1", "1.5h", "99999999999999999999d"] {
            assert!(bad.parse::<Age>().is_err(), "{bad}");
        }
    }
}
