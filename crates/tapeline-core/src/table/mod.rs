//! Tables: messages whose data is rows, told apart by the family's `row_key`.
//!
//! Rows are taken apart once, at publish (`parse`). A message of rows says what changed; two in a row merge into one
//! that says the same (`rows`), so whatever is merged, who applies it holds a table that existed. What a channel holds
//! now is a [`Table`] (`held`), kept by the broker. Nothing here knows sessions, queues or time.

mod held;
mod key;
mod parse;
mod rows;

pub use held::{Applied, Table};
pub use key::RowKey;
pub use parse::{RowError, removal, take_apart};
pub use rows::{Extent, Merging, Row, Rows};

#[cfg(test)]
mod tests;
