//! What a configuration may change in the map, and the map's rows as they are then. Everything that can be wrong with it
//! is found here, before the feed starts; what a venue sends later is not known here.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use tapeline_core::feed::VenueChannel;
use tapeline_schema::{NameError, check_name};
use thiserror::Error;

use super::table::{MAP_ROWS, Making, MapRow};
use super::template::{Field, Filling, Template};

/// Levels a side of `orderbook:{symbol}`, where nothing else is said.
pub const BOOK_LEVELS: usize = 25;
/// Levels a side at most.
pub const BOOK_LEVELS_LIMIT: usize = 1_000;
/// Switches a row off.
pub const OFF: &str = "off";

/// What can be set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MapConfig {
    /// By a row's name ([`MAP_ROWS`]): the hub's channel, or `off`.
    pub rows: BTreeMap<String, String>,
    /// By the venue's name of an instrument: its name at the hub. Those that are not here keep theirs.
    pub symbols: BTreeMap<String, String>,
    /// What fills `{account}`; without it the feed's name.
    pub account: Option<String>,
    /// Who may read what is about the account: a token's subject. Without it, operators alone.
    pub owner: Option<String>,
    /// Levels a side of `orderbook:{symbol}`.
    pub book_levels: usize,
}

impl Default for MapConfig {
    fn default() -> Self {
        MapConfig {
            rows: BTreeMap::new(),
            symbols: BTreeMap::new(),
            account: None,
            owner: None,
            book_levels: BOOK_LEVELS,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MapError {
    /// No row has this name.
    #[error("the map has no row {name}; there are {}", all_rows())]
    NoRow {
        /// As it was given.
        name: String,
    },
    /// A template cannot be used.
    #[error("{row} = {template:?}: {why}")]
    Template {
        /// The row.
        row: String,
        /// As it was given.
        template: String,
        /// What is wrong.
        why: String,
    },
    /// A name cannot be in a channel's name.
    #[error("{what} {name:?} cannot be in a channel's name: {why}")]
    Name {
        /// Which name.
        what: &'static str,
        /// As it was given.
        name: String,
        /// What is wrong.
        why: NameError,
    },
    /// Two instruments would take each other's place.
    #[error("{one} and {other} are both named {name}: they would take each other's place")]
    SameName {
        /// The first instrument.
        one: String,
        /// The second.
        other: String,
        /// What both are named.
        name: String,
    },
    /// Two rows would publish to one channel.
    #[error("{one} and {other} both lead to {template:?}: their messages would share a channel")]
    SameChannel {
        /// The first row.
        one: &'static str,
        /// The second.
        other: &'static str,
        /// Where both lead.
        template: String,
    },
    /// Too few or too many levels.
    #[error("feed.levels is {levels}; it must be from 1 to {BOOK_LEVELS_LIMIT}")]
    Levels {
        /// As it was given.
        levels: usize,
    },
}

fn all_rows() -> String {
    MAP_ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

/// A row that is on.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) row: &'static MapRow,
    pub(super) template: Template,
}

/// The rows and names of a configuration that was found to be right.
#[derive(Debug)]
pub(super) struct Plan {
    active: Vec<Active>,
    symbols: HashMap<Box<str>, Box<str>>,
    pub(super) source: Box<str>,
    pub(super) account: Box<str>,
    pub(super) owner: Option<Box<str>>,
    pub(super) book_levels: usize,
}

impl Plan {
    pub(super) fn new(source: &str, config: &MapConfig) -> Result<Self, MapError> {
        if let Some(name) = config.rows.keys().find(|name| MAP_ROWS.iter().all(|row| row.name != **name)) {
            return Err(MapError::NoRow { name: name.clone() });
        }
        if !(1..=BOOK_LEVELS_LIMIT).contains(&config.book_levels) {
            return Err(MapError::Levels { levels: config.book_levels });
        }
        let account = config.account.as_deref().unwrap_or(source);
        nameable("the feed", source)?;
        nameable("account", account)?;
        let active: Result<Vec<_>, _> =
            MAP_ROWS.iter().filter_map(|row| active(row, config).transpose()).collect();
        let active = active?;
        apart(&active, config)?;
        Ok(Plan {
            active,
            symbols: renamed(&config.symbols)?,
            source: source.into(),
            account: account.into(),
            owner: config.owner.as_deref().map(Into::into),
            book_levels: config.book_levels,
        })
    }

    /// The rows about a channel of the venue.
    pub(super) fn about<'a>(&'a self, channel: &'a VenueChannel) -> impl Iterator<Item = &'a Active> {
        self.active.iter().filter(move |active| active.row.is_about(channel))
    }

    /// The row that makes this, if it is on.
    pub(super) fn making(&self, making: Making) -> Option<&Active> {
        self.active.iter().find(|active| active.row.making == making)
    }

    /// What the hub calls an instrument.
    pub(super) fn name_of<'a>(&'a self, symbol: &'a str) -> &'a str {
        self.symbols.get(symbol).map_or(symbol, |name| name)
    }

    /// What the configuration renames an instrument to, if it does.
    pub(super) fn renamed(&self, symbol: &str) -> Option<&str> {
        self.symbols.get(symbol).map(|name| &**name)
    }

    /// What every message has.
    pub(super) fn filling(&self) -> Filling<'_> {
        Filling { source: &self.source, account: &self.account, ..Filling::default() }
    }

    /// See [`super::Map::check_symbols`].
    pub(super) fn check_symbols<'a>(&self, symbols: &[&'a str]) -> Result<(), MapError> {
        let mut taken: HashMap<&str, &'a str> = HashMap::new();
        for symbol in symbols {
            self.check_symbol(symbol)?;
            let name = self.name_of(symbol);
            if let Some(one) = taken.insert(name, symbol)
                && one != *symbol
            {
                let (one, other, name) = (one.to_owned(), (*symbol).to_owned(), name.to_owned());
                return Err(MapError::SameName { one, other, name });
            }
        }
        Ok(())
    }

    /// See [`super::Map::check_symbol`].
    pub(super) fn check_symbol(&self, symbol: &str) -> Result<(), MapError> {
        let name = self.name_of(symbol);
        let filling = Filling { symbol: name, ..self.filling() };
        let with_symbol = |active: &&Active| active.row.needs.contains(&Field::Symbol);
        for active in self.active.iter().filter(with_symbol) {
            // The venue's own places are filled later; they are short.
            let filling = Filling { interval: "1", channel: "c", ..filling };
            active.template.fill(&filling).map_err(|error| MapError::Name {
                what: "symbol",
                name: error.value,
                why: error.why,
            })?;
        }
        Ok(())
    }
}

fn nameable(what: &'static str, name: &str) -> Result<(), MapError> {
    check_name(name).map_err(|why| MapError::Name { what, name: name.to_owned(), why })
}

fn active(row: &'static MapRow, config: &MapConfig) -> Result<Option<Active>, MapError> {
    let Some(text) = config.rows.get(row.name).map(String::as_str).or(row.template) else { return Ok(None) };
    if text == OFF {
        return Ok(None);
    }
    let wrong = |why| MapError::Template { row: row.name.to_owned(), template: text.to_owned(), why };
    let template = Template::parse(text).map_err(wrong)?;
    if let Some(lacks) = row.needs.iter().find(|field| !template.has(**field)) {
        return Err(wrong(format!("it lacks {lacks}: messages about different ones would share a channel")));
    }
    let is_known =
        |field: &Field| field.is_always_known() || row.needs.contains(field) || row.takes.contains(field);
    if let Some(unknown) = template.fields().find(|field| !is_known(field)) {
        return Err(wrong(format!("{unknown} is not known of {}", row.name)));
    }
    Ok(Some(Active { row, template }))
}

/// No two rows may have one template.
fn apart(active: &[Active], config: &MapConfig) -> Result<(), MapError> {
    let mut taken: BTreeMap<&str, &'static str> = BTreeMap::new();
    for Active { row, .. } in active {
        let Some(template) = config.rows.get(row.name).map(String::as_str).or(row.template) else { continue };
        if let Some(one) = taken.insert(template, row.name) {
            return Err(MapError::SameChannel { one, other: row.name, template: template.to_owned() });
        }
    }
    Ok(())
}

fn renamed(symbols: &BTreeMap<String, String>) -> Result<HashMap<Box<str>, Box<str>>, MapError> {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (symbol, name) in symbols {
        nameable("symbol", name)?;
        if let Some(one) = taken.insert(name, symbol) {
            let (one, other, name) = (one.to_owned(), symbol.clone(), name.clone());
            return Err(MapError::SameName { one, other, name });
        }
    }
    Ok(symbols.iter().map(|(symbol, name)| (symbol.as_str().into(), name.as_str().into())).collect())
}
