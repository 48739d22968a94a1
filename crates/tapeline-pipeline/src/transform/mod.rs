//! What data goes through before a component's method sees it: forms that a role asks for, digits as text or as numbers,
//! and functions of users. It runs on the component's own thread; what fails is the message's fault and lands in the dead
//! letters as `validation`.

mod balances;
mod digits;

use std::sync::Arc;

use tapeline_core::feed::Update;

use crate::data::Data;

pub use balances::{as_list, by_asset};

type Function = dyn Fn(&Update, Data) -> Result<Data, String> + Send + Sync;

/// A function from data to data, told which update it is of; cheap to clone.
///
/// ```
/// use tapeline_pipeline::data::Data;
/// use tapeline_pipeline::transform::Transform;
///
/// let cents = Transform::new(|_update, data| {
///     let price = data.number("last").ok_or("a ticker without last")?;
///     Data::of(&(price * 100.0).round()).map_err(|error| error.to_string())
/// });
/// let both = Transform::digits_as_strings().then(cents);
/// # let _ = both;
/// ```
#[derive(Clone)]
pub struct Transform(Arc<Function>);

impl Transform {
    /// A function of yours. What it answers must be JSON; an error says what is wrong with the message.
    pub fn new(function: impl Fn(&Update, Data) -> Result<Data, String> + Send + Sync + 'static) -> Self {
        Transform(Arc::new(move |update, data| {
            let made = function(update, data)?;
            if made.is_json() {
                Ok(made)
            } else {
                Err(format!("a transformation made what is not JSON: {made}"))
            }
        }))
    }

    /// Every number becomes text with the same digits: `65972.80` → `"65972.80"`, for who counts in decimals.
    pub fn digits_as_strings() -> Self {
        Transform(Arc::new(|_, data| digits::as_strings(data.bytes()).map(Data::new)))
    }

    /// Text under these names becomes a number where it is one: `"price":"187.20"` → `"price":187.20`, for venues that
    /// send digits as text. It is an error where it is not.
    pub fn strings_as_digits(fields: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        let fields: Vec<Box<str>> = fields.into_iter().map(Into::into).collect();
        Transform(Arc::new(move |_, data| digits::as_numbers(data.bytes(), &fields).map(Data::new)))
    }

    /// This one, and then another.
    #[must_use]
    pub fn then(self, next: Transform) -> Self {
        Transform(Arc::new(move |update, data| next.apply(update, self.apply(update, data)?)))
    }

    /// Does it.
    ///
    /// # Errors
    /// What is wrong with the message, in a sentence.
    pub fn apply(&self, update: &Update, data: Data) -> Result<Data, String> {
        (self.0)(update, data)
    }
}
