//! The configuration file: where each key stands in it. Faults are told by line and column, all of them at once.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tapeline_auth::api_key::KeySettings;
use tapeline_schema::Family;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layers::{Fault, Faults, Origin, meant};
use super::table::{ROWS, Row};
use super::value::Given;
use super::{Config, Loaded};

/// The key of the families.
const FAMILIES: &str = "channel";
/// The key of the API keys, and their section.
const KEYS: &str = "auth.key";
const AUTH: &str = "auth";
const AUTH_MODE: &str = "auth.mode";

/// A family of the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileFamily {
    /// Its schema is the JSON Schema itself.
    pub family: Family,
    /// The schema's path, where the file says one.
    pub schema_path: Option<String>,
    pub line: usize,
}

/// What of the file is not settings.
#[derive(Deserialize)]
struct Families {
    #[serde(default)]
    channel: Vec<Spanned<Family>>,
}

/// A file and its text.
pub(crate) struct File<'a> {
    path: &'a Path,
    text: String,
}

impl<'a> File<'a> {
    pub(crate) fn of(path: &'a Path, text: String) -> Self {
        File { path, text }
    }

    pub(super) fn open(path: &'a Path) -> Result<Self, Faults> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(File::of(path, text)),
            Err(error) => Err(Faults::one(path.display().to_string(), format!("cannot be read: {error}"))),
        }
    }

    /// Takes over what the file says.
    pub(crate) fn apply(&self, loaded: &mut Loaded) -> Result<(), Faults> {
        let broken = |error: toml::de::Error| Faults(vec![self.fault_of(&error)]);
        let places = DeTable::parse(&self.text).map_err(broken)?;
        let values: toml::Table = toml::from_str(&self.text).map_err(broken)?;
        let mut faults = Vec::new();
        self.walk("", places.get_ref(), &values, loaded, &mut faults);
        match toml::from_str::<Families>(&self.text) {
            Ok(Families { channel }) => {
                for found in channel {
                    let at = found.span().start;
                    match self.family(found) {
                        Ok(family) => loaded.config.families.push(family),
                        Err(told) => faults.push(self.fault(at, told)),
                    }
                }
            }
            Err(error) => faults.push(self.fault_of(&error)),
        }
        faults.extend(self.misfit(&loaded.config).filter(|_| faults.is_empty()));
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults)) }
    }

    fn walk(
        &self,
        section: &str,
        places: &DeTable<'_>,
        values: &toml::Table,
        loaded: &mut Loaded,
        faults: &mut Vec<Fault>,
    ) {
        for (key, place) in places {
            let Some(value) = values.get(&**key.get_ref()) else { continue };
            let name = format!("{section}{}", key.get_ref());
            let inner = format!("{name}.");
            if name == FAMILIES {
                continue;
            }
            if let (KEYS, DeValue::Array(places), toml::Value::Array(keys)) = (&*name, place.get_ref(), value)
            {
                for (place, key) in places.iter().zip(keys) {
                    match api_key(key) {
                        Ok(key) => loaded.config.auth.keys.push(key),
                        Err(told) => faults.push(self.fault(place.span().start, told)),
                    }
                }
                continue;
            }
            // `auth = "off"`
            let row = if name == AUTH && value.is_str() { AUTH_MODE } else { &*name };
            let at = ROWS.iter().position(|known| known.name == row);
            let outcome = match (at, place.get_ref(), value) {
                (Some(at), _, _) => loaded.set(at, Given::Toml(value), self.origin(key.span().start)),
                (None, DeValue::Table(places), toml::Value::Table(values)) if is_section(&inner) => {
                    self.walk(&inner, places, values, loaded, faults);
                    Ok(())
                }
                (None, ..) if is_section(&inner) => Err(format!("{name}: expected a section [{name}]")),
                (None, ..) => Err(unknown(&name)),
            };
            faults.extend(outcome.err().map(|message| self.fault(key.span().start, message)));
        }
    }

    fn family(&self, found: Spanned<Family>) -> Result<FileFamily, String> {
        let line = self.line_column(found.span().start).0;
        let mut family = found.into_inner();
        let schema_path = family.schema.as_ref().and_then(Value::as_str).map(str::to_string);
        if let Some(path) = &schema_path {
            // Paths begin where the file lies.
            let path = self.path.parent().unwrap_or(Path::new("")).join(path);
            let schema = read_schema(&path)
                .map_err(|told| format!("[[channel]] {}: schema {told}", family.template))?;
            family.schema = Some(schema);
        }
        Ok(FileFamily { family, schema_path, line })
    }

    fn misfit(&self, config: &Config) -> Option<Fault> {
        let misfit = config.catalog(&[]).err()?;
        let place = format!("{}:{}", self.path.display(), misfit.line.unwrap_or_default());
        Some(Fault { place, message: format!("[[channel]] {}: {}", misfit.family.template, misfit.error) })
    }

    fn origin(&self, byte: usize) -> Origin {
        Origin::File { path: PathBuf::from(self.path), line: self.line_column(byte).0 }
    }

    fn fault_of(&self, error: &toml::de::Error) -> Fault {
        self.fault(error.span().map_or(0, |span| span.start), error.message().to_string())
    }

    fn fault(&self, byte: usize, message: String) -> Fault {
        let (line, column) = self.line_column(byte);
        Fault { place: format!("{}:{line}:{column}", self.path.display()), message }
    }

    /// Both from 1 on.
    fn line_column(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        (line, column)
    }
}

/// One `[[auth.key]]`.
fn api_key(value: &toml::Value) -> Result<KeySettings, String> {
    let key: KeySettings = value
        .clone()
        .try_into()
        .map_err(|error: toml::de::Error| format!("[[auth.key]] {}", error.message()))?;
    key.check()?;
    Ok(key)
}

/// The JSON of a file.
pub(crate) fn read_schema(path: &Path) -> Result<Value, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{shown} is not JSON: {error}"))
}

fn is_section(prefix: &str) -> bool {
    ROWS.iter().any(|row| row.name.starts_with(prefix))
}

fn unknown(name: &str) -> String {
    let sections = ROWS.iter().filter_map(|row| row.name.split_once('.')).map(|(section, _)| section);
    let known = ROWS.iter().map(|row: &Row| row.name).chain(sections).chain([FAMILIES, KEYS]);
    format!("{name}: unknown key{}", meant(name, known))
}
