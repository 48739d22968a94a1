//! Channel names with places to fill: `ohlc:{symbol}:{interval}`. A template is checked once; what fills it is checked
//! each time, since a venue may send anything.

use std::fmt;

use tapeline_schema::name::{NAME_LIMIT, NameError, check_name};

/// A place in a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The feed's name; always known.
    Source,
    /// The account that the configuration names; always known.
    Account,
    /// The instrument, as the configuration renames it.
    Symbol,
    /// How long a candle lasts, as the venue writes it.
    Interval,
    /// The venue's name of an order.
    OrderId,
    /// What the venue calls the channel.
    Channel,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Source, Self::Account, Self::Symbol, Self::Interval, Self::OrderId, Self::Channel];

    /// As it stands between braces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Account => "account",
            Self::Symbol => "symbol",
            Self::Interval => "interval",
            Self::OrderId => "order_id",
            Self::Channel => "channel",
        }
    }

    /// Whether every message has it.
    pub fn is_always_known(self) -> bool {
        matches!(self, Self::Source | Self::Account)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.name())
    }
}

#[derive(Clone, Debug)]
enum Part {
    Text(Box<str>),
    Field(Field),
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Part>);

/// What fills a template.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filling<'a> {
    pub(super) source: &'a str,
    pub(super) account: &'a str,
    pub(super) symbol: &'a str,
    pub(super) interval: &'a str,
    pub(super) order_id: &'a str,
    pub(super) channel: &'a str,
}

impl<'a> Filling<'a> {
    fn of(&self, field: Field) -> &'a str {
        match field {
            Field::Source => self.source,
            Field::Account => self.account,
            Field::Symbol => self.symbol,
            Field::Interval => self.interval,
            Field::OrderId => self.order_id,
            Field::Channel => self.channel,
        }
    }
}

/// A value cannot be in a channel's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unnameable {
    pub(super) field: Field,
    pub(super) value: String,
    pub(super) why: NameError,
}

impl Template {
    /// Reads a template; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, behind)) = after.split_once('}') else {
                return Err("a `{` has no `}`".to_owned());
            };
            let field = Field::ALL.into_iter().find(|field| field.name() == name).ok_or_else(|| {
                let all: Vec<String> = Field::ALL.iter().map(Field::to_string).collect();
                format!("{{{name}}} is no field; there are {}", all.join(", "))
            })?;
            parts.extend([text_part(before)?, Some(Part::Field(field))].into_iter().flatten());
            rest = behind;
        }
        parts.extend(text_part(rest)?);
        match parts.first() {
            Some(Part::Text(_)) => Ok(Template(parts)),
            Some(Part::Field(_)) => Err("it must begin with the name of a family".to_owned()),
            None => Err(NameError::Empty.to_string()),
        }
    }

    /// Whether it has a place for the field.
    pub(super) fn has(&self, field: Field) -> bool {
        self.fields().any(|own| own == field)
    }

    /// The fields that it has places for.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field> {
        self.0.iter().filter_map(|part| match part {
            Part::Field(field) => Some(*field),
            Part::Text(_) => None,
        })
    }

    /// The channel's name, to be read: nothing is checked.
    pub(super) fn show(&self, filling: &Filling<'_>) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.to_string(),
            Part::Field(field) => filling.of(*field).to_owned(),
        };
        self.0.iter().map(part).collect()
    }

    /// The channel's name.
    pub(super) fn fill(&self, filling: &Filling<'_>) -> Result<Box<str>, Unnameable> {
        let mut name = String::with_capacity(NAME_LIMIT);
        for part in &self.0 {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Field(field) => {
                    let value = filling.of(*field);
                    check_name(value).map_err(|why| unnameable(*field, value, why))?;
                    name.push_str(value);
                }
            }
        }
        if name.len() > NAME_LIMIT {
            // The longest is to blame.
            let field = self.fields().max_by_key(|field| filling.of(*field).len()).unwrap_or(Field::Source);
            return Err(unnameable(field, filling.of(field), NameError::TooLong { bytes: name.len() }));
        }
        Ok(name.into())
    }
}

/// The start of the value at most goes into the sentence: a venue may send anything.
fn unnameable(field: Field, value: &str, why: NameError) -> Unnameable {
    Unnameable { field, value: value.chars().take(NAME_LIMIT).collect(), why }
}

fn text_part(text: &str) -> Result<Option<Part>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.contains('}') {
        return Err("a `}` has no `{`".to_owned());
    }
    check_name(text).map_err(|error| error.to_string())?;
    Ok(Some(Part::Text(text.into())))
}
