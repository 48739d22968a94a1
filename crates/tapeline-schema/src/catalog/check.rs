//! Whether a row is sound by itself and fits those that are there.
//!
//! Owns the rules for rows, each with its error.
//! Refuses to change the catalogue.

use super::{Catalog, CatalogError, ChannelSpec, Delivery};
use crate::name::check_name;
use crate::wire::{is_reserved_field, is_reserved_type, round_rate};

/// The row with its rate on a step, if it is sound by itself.
pub(super) fn check_row(mut spec: ChannelSpec) -> Result<ChannelSpec, CatalogError> {
    check_template(&spec)?;
    let family = || spec.family.clone();
    if spec.kind.is_empty() || is_reserved_type(&spec.kind) {
        return Err(CatalogError::BadType { family: family(), kind: spec.kind });
    }
    match spec.delivery {
        Delivery::Every if spec.max_rate.is_some() => {
            return Err(CatalogError::RateOnEvery { family: family() });
        }
        Delivery::Table if spec.row_key.is_empty() => {
            return Err(CatalogError::NoRowKey { family: family() });
        }
        Delivery::Latest | Delivery::Table if spec.keep.count == 0 => {
            return Err(CatalogError::KeepsNothing { family: family(), delivery: spec.delivery.name() });
        }
        Delivery::Latest | Delivery::Table | Delivery::Every => {}
    }
    check_table_settings(&spec)?;
    if let Some(rate) = spec.max_rate {
        let step = round_rate(f64::from(rate));
        spec.max_rate = Some(step.ok_or_else(|| CatalogError::BadRate { family: family(), rate })?);
    }
    check_roll_up_names(&spec)?;
    Ok(spec)
}

fn check_table_settings(spec: &ChannelSpec) -> Result<(), CatalogError> {
    let refuse =
        |setting, reason| Err(CatalogError::NotOfTables { family: spec.family.clone(), setting, reason });
    if spec.delivery != Delivery::Table {
        return match &spec.removed_when {
            Some(_) => refuse("removed_when", "needs delivery table"),
            None => Ok(()),
        };
    }
    if spec.keep.age.is_some() {
        return refuse("keep.age", "cannot go with delivery table: rows stay until they are removed");
    }
    let says_removed = |field: &String| field == "removed";
    if spec.row_key.iter().any(says_removed) {
        return refuse("row_key", "cannot hold the field `removed`, which says that a row goes");
    }
    if first_repeated(&spec.row_key).is_some() {
        return refuse("row_key", "names a field twice");
    }
    match &spec.removed_when {
        Some(when) if says_removed(&when.field) => {
            refuse("removed_when", "cannot look at the field `removed`, which says itself that a row goes")
        }
        Some(when) if when.equals.trim_start().starts_with(['{', '[']) || when.equals.is_empty() => {
            refuse("removed_when", "compares with a number, a string, true, false or null")
        }
        _ => Ok(()),
    }
}

fn check_template(spec: &ChannelSpec) -> Result<(), CatalogError> {
    let template = || spec.template.clone();
    let rebuilt: String = std::iter::once(spec.family.clone())
        .chain(spec.keys.iter().map(|key| format!(":{{{key}}}")))
        .collect();
    let plain = check_name(&spec.family).is_ok() && !spec.family.contains([':', '{', '}']);
    if !plain || rebuilt != spec.template || !spec.keys.iter().all(|key| is_field_name(key)) {
        return Err(CatalogError::BadTemplate { template: template() });
    }
    if let Some(key) = spec.keys.iter().find(|key| is_reserved_field(key)) {
        return Err(CatalogError::ReservedKey { template: template(), key: key.clone() });
    }
    match first_repeated(&spec.keys) {
        Some(key) => Err(CatalogError::DuplicateKey { template: template(), key: key.to_owned() }),
        None => Ok(()),
    }
}

fn is_field_name(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && key.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

fn first_repeated(names: &[String]) -> Option<&str> {
    let repeated =
        names.iter().enumerate().find(|(place, name)| names.iter().take(*place).any(|n| n == *name));
    repeated.map(|(_, name)| name.as_str())
}

fn check_roll_up_names(spec: &ChannelSpec) -> Result<(), CatalogError> {
    let refuse = |name: &str, reason| {
        Err(CatalogError::BadRollUp { family: spec.family.clone(), name: name.to_owned(), reason })
    };
    for name in &spec.rolls_up_to {
        check_name(name)?;
        if name.contains([':', '{', '}']) {
            // With a colon it would be a channel of a family, which rolls up itself.
            return refuse(name, "a roll-up name has no colon and no braces");
        }
        if spec.keys.is_empty() && *name == spec.family {
            return refuse(name, "it is the family's only channel");
        }
    }
    match first_repeated(&spec.rolls_up_to) {
        Some(name) => refuse(name, "it is listed twice"),
        None => Ok(()),
    }
}

/// Whether a sound row fits the catalogue.
pub(super) fn check_fit(catalog: &Catalog, spec: &ChannelSpec) -> Result<(), CatalogError> {
    if catalog.family(&spec.family).is_some() {
        return Err(CatalogError::DuplicateFamily { family: spec.family.clone() });
    }
    for name in &spec.rolls_up_to {
        // The bare family of a roll-up's name is one more of its sources.
        let bare = catalog.family(name).filter(|family| family.keys.is_empty());
        if bare.is_some_and(|family| !family.rolls_up_to.is_empty()) {
            return Err(chained(&spec.family, name));
        }
        for source in bare.into_iter().chain(catalog.rolled_up_by(name)) {
            check_alike(name, spec, source)?;
        }
    }
    if spec.keys.is_empty() {
        let sources = catalog.rolled_up_by(&spec.family);
        if let (Some(source), false) = (sources.first(), spec.rolls_up_to.is_empty()) {
            return Err(chained(&source.family, &spec.family));
        }
        for source in sources {
            check_alike(&spec.family, spec, source)?;
        }
    }
    Ok(())
}

fn chained(family: &str, name: &str) -> CatalogError {
    let reason = "it rolls up itself, and roll-ups do not chain";
    CatalogError::BadRollUp { family: family.to_owned(), name: name.to_owned(), reason }
}

fn check_alike(name: &str, spec: &ChannelSpec, source: &ChannelSpec) -> Result<(), CatalogError> {
    let (name, family) = (name.to_owned(), spec.family.clone());
    if spec.delivery != source.delivery {
        let (new, old) = (spec.delivery.name(), source.delivery.name());
        return Err(CatalogError::MixedDelivery { name, family, new, old });
    }
    if spec.priority != source.priority {
        let (new, old) = (spec.priority.name(), source.priority.name());
        return Err(CatalogError::MixedPriority { name, family, new, old });
    }
    Ok(())
}
