//! Names for generated types, and names that can be part of a reference.
//!
//! Owns how text becomes a type's name and that no two are alike. Refuses to know what is named.

use std::collections::BTreeSet;

/// `fx_quote` to `FxQuote`; never empty, never beginning with a digit.
pub(crate) fn pascal(text: &str) -> String {
    let mut name = String::new();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.extend(letters);
    }
    if name.starts_with(|first: char| first.is_ascii_uppercase()) { name } else { format!("Event{name}") }
}

/// Whether it can stand for a type or a field in any language, but for a language's own words.
pub(crate) fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `training.status` to `training_status`.
pub(crate) fn snake(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Names given so far.
#[derive(Debug, Default)]
pub(crate) struct Taken(BTreeSet<String>);

impl Taken {
    /// The name, or the name with a number if it was given before; with it goes the name of the type of its messages.
    pub(crate) fn give(&mut self, wanted: &str) -> String {
        let message = |name: &str| format!("{name}Message");
        let is_free = |name: &String| !self.0.contains(name) && !self.0.contains(&message(name));
        let mut numbered =
            std::iter::once(wanted.to_owned()).chain((2..).map(|n: u64| format!("{wanted}{n}")));
        let free = numbered.find(is_free).unwrap_or_default();
        self.0.insert(message(&free));
        self.0.insert(free.clone());
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_in_every_language() {
        for (text, name) in
            [("fx_quote", "FxQuote"), ("training.status", "TrainingStatus"), ("8bit", "Event8bit")]
        {
            assert_eq!(pascal(text), name);
        }
        assert_eq!(pascal("!"), "Event");
        let mut taken = Taken::default();
        assert_eq!(["Fx", "Fx", "Fx"].map(|name| taken.give(name)), ["Fx", "Fx2", "Fx3"]);
        assert_eq!(taken.give("FxMessage"), "FxMessage2", "that is the type of Fx's messages");
    }
}
