//! The kinds of values that settings have: how each is written in TOML, as text in a variable or flag, and shown.
//! It knows no setting.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tapeline_auth::{Algorithm, Mode};
use tapeline_brokers::embedded::Durability;
use tapeline_core::hours::MarketHours;
use tapeline_core::network::Network;
use tapeline_gateway::ClientHeader;
use tapeline_schema::Pattern;
use toml::Value as Toml;

use crate::log::Format;

/// A value as it was given.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    /// In the file.
    Toml(&'a Toml),
    /// In a variable or on the command line.
    Text(&'a str),
}

impl<'a> Given<'a> {
    /// Its text, if it is one.
    fn text(&self) -> Option<&'a str> {
        match *self {
            Given::Toml(value) => value.as_str(),
            Given::Text(text) => Some(text),
        }
    }
}

/// A kind of value. What [`Value::show`] says can be given again, as TOML.
pub(super) trait Value: Sized {
    /// Reads it; the error is the rest of a sentence that names the setting.
    fn read(given: Given<'_>) -> Result<Self, String>;
    /// As TOML.
    fn show(&self) -> String;
}

/// The longest time; beyond it, moments could not be counted.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The highest number of bytes or things: 1 TiB, so that sums of them are numbers still.
const MOST: u64 = 1 << 40;

/// What one gives to have the hub decide.
const AUTO: &str = "auto";

/// As it was written.
impl fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Given::Toml(value) => write!(f, "{value}"),
            Given::Text(text) => write!(f, "{text:?}"),
        }
    }
}

fn expected<T>(what: &str, given: Given<'_>) -> Result<T, String> {
    Err(format!("expected {what}, found {given}"))
}

macro_rules! whole_numbers {
    ($($kind:ty, $most:expr;)*) => {$(
        impl Value for $kind {
            fn read(given: Given<'_>) -> Result<Self, String> {
                let number: Option<u64> = match given {
                    Given::Toml(value) => value.as_integer().and_then(|number| number.try_into().ok()),
                    Given::Text(text) => text.trim().replace('_', "").parse().ok(),
                };
                let number = number.filter(|number| *number <= $most).and_then(|number| number.try_into().ok());
                number.map_or_else(|| expected(&format!("a whole number up to {}", $most), given), Ok)
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

whole_numbers!(usize, MOST; u64, u64::MAX; u32, u64::from(u32::MAX););

impl Value for bool {
    fn read(given: Given<'_>) -> Result<Self, String> {
        match given {
            Given::Toml(Toml::Boolean(value)) => Ok(*value),
            Given::Text("true" | "1") => Ok(true),
            Given::Text("false" | "0") => Ok(false),
            _ => expected("true or false", given),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn read(given: Given<'_>) -> Result<Self, String> {
        match given {
            Given::Toml(Toml::String(text)) => Ok(text.clone()),
            Given::Text(text) => Ok(text.to_string()),
            Given::Toml(_) => expected("text in quotes", given),
        }
    }

    fn show(&self) -> String {
        Toml::String(self.clone()).to_string()
    }
}

impl Value for Format {
    fn read(given: Given<'_>) -> Result<Self, String> {
        match given.text() {
            Some("text") => Ok(Format::Text),
            Some("json") => Ok(Format::Json),
            _ => expected("\"text\" or \"json\"", given),
        }
    }

    fn show(&self) -> String {
        let word = match self {
            Format::Text => "text",
            Format::Json => "json",
        };
        Toml::String(word.to_string()).to_string()
    }
}

impl Value for ClientHeader {
    fn read(given: Given<'_>) -> Result<Self, String> {
        let text = given.text();
        let known = [ClientHeader::XForwardedFor, ClientHeader::Forwarded];
        let found = known
            .into_iter()
            .find(|header| text.is_some_and(|text| text.eq_ignore_ascii_case(header.name())));
        found.map_or_else(|| expected("\"x-forwarded-for\" or \"forwarded\"", given), Ok)
    }

    fn show(&self) -> String {
        Toml::String(self.name().to_string()).to_string()
    }
}

impl Value for Mode {
    fn read(given: Given<'_>) -> Result<Self, String> {
        let text = given.text();
        let found = Mode::ALL.into_iter().find(|(_, word)| text == Some(word));
        found.map_or_else(|| expected("\"auto\", \"on\" or \"off\"", given), |(mode, _)| Ok(mode))
    }

    fn show(&self) -> String {
        Toml::String(self.word().to_string()).to_string()
    }
}

impl Value for Durability {
    fn read(given: Given<'_>) -> Result<Self, String> {
        match given.text().map(str::parse) {
            Some(Ok(durability)) => Ok(durability),
            _ => expected("\"every-batch\", \"exit\" or a time such as \"10ms\" (1ms to 60000ms)", given),
        }
    }

    fn show(&self) -> String {
        Toml::String(self.to_string()).to_string()
    }
}

/// Seconds.
impl Value for Duration {
    fn read(given: Given<'_>) -> Result<Self, String> {
        let seconds = match given {
            Given::Toml(Toml::Integer(number)) => u64::try_from(*number).ok().map(Duration::from_secs),
            Given::Toml(Toml::Float(number)) => Duration::try_from_secs_f64(*number).ok(),
            Given::Text(text) => text.trim().parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok()),
            Given::Toml(_) => None,
        };
        let seconds = seconds.filter(|seconds| *seconds <= YEAR);
        seconds.map_or_else(
            || expected(&format!("a number of seconds from 0 to {} (a year)", YEAR.as_secs()), given),
            Ok,
        )
    }

    fn show(&self) -> String {
        match self.subsec_nanos() {
            0 => self.as_secs().to_string(),
            _ => self.as_secs_f64().to_string(),
        }
    }
}

impl<T: Value> Value for Option<T> {
    fn read(given: Given<'_>) -> Result<Self, String> {
        match given {
            Given::Text(AUTO) => Ok(None),
            Given::Toml(Toml::String(text)) if text == AUTO => Ok(None),
            _ => T::read(given).map(Some).map_err(|told| format!("{told}; or {AUTO:?}")),
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| format!("{AUTO:?}"), Value::show)
    }
}

/// What a list is of.
trait Item: Sized {
    const WHAT: &'static str;
    fn parse(text: &str) -> Option<Self>;
    fn text(&self) -> String;

    /// In a list of TOML.
    fn toml(&self) -> Toml {
        Toml::String(self.text())
    }
}

impl Item for u32 {
    const WHAT: &'static str = "a list of whole numbers";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> String {
        self.to_string()
    }
    fn toml(&self) -> Toml {
        Toml::Integer(i64::from(*self))
    }
}

impl Item for String {
    const WHAT: &'static str = "a list of texts";
    fn parse(text: &str) -> Option<Self> {
        Some(text.to_string())
    }
    fn text(&self) -> String {
        self.clone()
    }
}

impl Item for Pattern {
    const WHAT: &'static str = "a list of patterns such as \"training.*\"";
    fn parse(text: &str) -> Option<Self> {
        Pattern::parse(text).ok()
    }
    fn text(&self) -> String {
        self.as_str().to_string()
    }
}

impl Item for Algorithm {
    const WHAT: &'static str = "a list of algorithms such as \"ES256\"";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> String {
        self.name().to_string()
    }
}

impl Item for SocketAddr {
    const WHAT: &'static str = "a list of addresses such as \"127.0.0.1:8000\"";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> String {
        self.to_string()
    }
}

impl Item for Network {
    const WHAT: &'static str = "a list of addresses and networks such as \"10.0.0.0/8\"";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for Arc<MarketHours> {
    fn read(given: Given<'_>) -> Result<Self, String> {
        MarketHours::parse(&Vec::<String>::read(given)?).map(Arc::new)
    }

    fn show(&self) -> String {
        self.lines().to_vec().show()
    }
}

impl<T: Item> Value for Vec<T> {
    fn read(given: Given<'_>) -> Result<Self, String> {
        let items: Option<Vec<T>> = match given {
            Given::Toml(Toml::Array(items)) => {
                let text = |item: &Toml| match item {
                    Toml::Integer(number) => Some(number.to_string()),
                    other => other.as_str().map(str::to_string),
                };
                items.iter().map(|item| text(item).and_then(|text| T::parse(&text))).collect()
            }
            Given::Text(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(T::parse).collect()
            }
            Given::Toml(_) => None,
        };
        items.map_or_else(|| expected(T::WHAT, given), Ok)
    }

    fn show(&self) -> String {
        Toml::Array(self.iter().map(Item::toml).collect()).to_string()
    }
}

/// Names for names: `{ from = "to" }`, in a variable `from=to,from=to`.
impl Value for BTreeMap<String, String> {
    fn read(given: Given<'_>) -> Result<Self, String> {
        let names: Option<Self> = match given {
            Given::Toml(Toml::Table(table)) => {
                table.iter().map(|(from, to)| Some((from.clone(), to.as_str()?.to_string()))).collect()
            }
            Given::Text(text) => {
                let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
                let pair = |pair: &str| {
                    pair.split_once('=').map(|(from, to)| (from.trim().into(), to.trim().into()))
                };
                pairs.map(pair).collect()
            }
            Given::Toml(_) => None,
        };
        names.map_or_else(|| expected("a table of texts such as { from = \"to\" }", given), Ok)
    }

    fn show(&self) -> String {
        let one = |(from, to): (&String, &String)| {
            format!("{} = {}", Toml::String(from.clone()), Toml::String(to.clone()))
        };
        let pairs: Vec<String> = self.iter().map(one).collect();
        if pairs.is_empty() { "{}".to_string() } else { format!("{{ {} }}", pairs.join(", ")) }
    }
}
