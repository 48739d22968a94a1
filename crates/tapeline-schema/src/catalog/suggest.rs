//! Which declared name somebody probably meant.
//!
//! Owns the comparison: separators and case count for nothing, a slip or two is forgiven in the family,
//! and a roll-up's name in front of a key means the family behind it. The key stays as it was typed.
//! Refuses to invent keys: a family's name without its key has no suggestion.

use super::{Catalog, ChannelSpec};
use crate::name::check_name;

/// Whether the part before the key could be cut at this character. A `-` or `_` is more likely part of
/// the family's name, so a cut there must leave a family without a slip.
fn separator(character: char) -> Option<bool> {
    match character {
        ':' | '.' | '/' | '|' | '#' | '@' | '=' => Some(true),
        '-' | '_' => Some(false),
        _ => None,
    }
}

/// Lower is better: slips in the family, then whether a roll-up's name was used, then the wrong separator.
type Score = (usize, bool, bool);

pub(super) fn closest(catalog: &Catalog, name: &str) -> Option<String> {
    if check_name(name).is_err() || catalog.resolve(name).declared {
        return None;
    }
    let heads: Vec<Head<'_>> = heads(name).collect();
    let whole = folded(name);
    let mut best: Option<(Score, String)> = None;
    let mut offer = |score: Score, suggestion: String| {
        let better = best.as_ref().is_none_or(|(least, _)| score < *least);
        if better && catalog.resolve(&suggestion).declared {
            best = Some((score, suggestion));
        }
    };
    for spec in catalog.specs() {
        for head in &heads {
            if let Some((score, suggestion)) = head.meant_as(spec) {
                offer(score, suggestion);
            }
        }
        let bare = std::iter::once(&spec.family).chain(&spec.rolls_up_to);
        for declared in bare {
            if let Some(slips) = slips(&whole, &folded(declared)) {
                offer((slips, false, false), declared.clone());
            }
        }
    }
    best.map(|(_, suggestion)| suggestion)
}

/// One way to cut a name into a family and its key.
struct Head<'a> {
    folded: String,
    colon: bool,
    forgiving: bool,
    key: &'a str,
}

impl Head<'_> {
    fn meant_as(&self, spec: &ChannelSpec) -> Option<(Score, String)> {
        let keyless = spec.keys.is_empty();
        if keyless && !self.colon {
            return None;
        }
        let aliases = spec.rolls_up_to.iter().map(|alias| (true, alias));
        let (slips, alias) = std::iter::once((false, &spec.family))
            .chain(aliases)
            .filter_map(|(alias, name)| Some((slips(&self.folded, &folded(name))?, alias)))
            .filter(|(slips, _)| self.forgiving || *slips == 0)
            .min()?;
        let suggestion = if keyless { spec.family.clone() } else { format!("{}:{}", spec.family, self.key) };
        Some(((slips, alias, !self.colon), suggestion))
    }
}

fn heads(name: &str) -> impl Iterator<Item = Head<'_>> {
    name.char_indices().filter_map(|(at, character)| {
        let forgiving = separator(character)?;
        let (head, rest) = name.split_at_checked(at)?;
        let key = rest.strip_prefix(character).filter(|key| !key.is_empty())?;
        Some(Head { folded: folded(head), colon: character == ':', forgiving, key })
    })
}

fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|character| character.to_ascii_lowercase()).collect()
}

/// Letters added, left out, changed or swapped, if few enough for a declared name of that length.
fn slips(typed: &str, declared: &str) -> Option<usize> {
    let allowed = match declared.len() {
        0..=3 => 0,
        4..=5 => 1,
        _ => 2,
    };
    if typed.len().abs_diff(declared.len()) > allowed {
        return None;
    }
    Some(edit_distance(typed.as_bytes(), declared.as_bytes())).filter(|slips| *slips <= allowed)
}

/// Optimal string alignment: a swap of neighbours is one slip.
fn edit_distance(typed: &[u8], declared: &[u8]) -> usize {
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=declared.len()).collect();
    let mut above_letter = None;
    for (line, &letter) in (1..).zip(typed) {
        let mut row = vec![line];
        let mut left_letter = None;
        for (column, &other) in declared.iter().enumerate() {
            let change = at(&above, column) + usize::from(letter != other);
            let mut least = change.min(at(&above, column + 1) + 1).min(at(&row, column) + 1);
            if above_letter == Some(other) && left_letter == Some(letter) {
                least = least.min(at(&before, column.saturating_sub(1)) + 1);
            }
            row.push(least);
            left_letter = Some(other);
        }
        before = std::mem::replace(&mut above, row);
        above_letter = Some(letter);
    }
    at(&above, declared.len())
}
