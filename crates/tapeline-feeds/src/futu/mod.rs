//! Futu OpenAPI: order books as a process beside the vendor's gateway writes them, one JSON object a line. Each is the
//! whole book, without number or checksum. Facts: <https://openapi.futunn.com/futu-api-doc/en/quote/update-order-book.html>.
//! It does not speak to the gateway itself; the vendor's SDK does that.

mod difference;
mod push;
mod session;
mod time;

#[cfg(test)]
mod tests;

pub use session::{Futu, FutuSettings};

/// The longest line that is looked at, in bytes: a thousand orders behind a level are some ten thousand.
pub const LINE_BYTES: usize = 1 << 20;
