//! JSON written field by field into one buffer, numbers with the digits they came with. It does not check that what it
//! is given as JSON is JSON.

use std::io::Write as _;

use bytes::Bytes;
use serde_json::value::RawValue;
use tapeline_core::channel::push_json_string;

use crate::book::{Book, Decimal, Row, Side};

/// An object that grows.
pub(super) struct Object(Vec<u8>);

impl Object {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes);
        out.push(b'{');
        Object(out)
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        // Names are ours.
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        &mut self.0
    }

    pub(super) fn text(mut self, name: &str, text: &str) -> Self {
        push_json_string(self.name(name), text);
        self
    }

    pub(super) fn json(mut self, name: &str, json: &str) -> Self {
        self.name(name).extend_from_slice(json.as_bytes());
        self
    }

    /// A field whose name is somebody else's.
    pub(super) fn with_any_name(mut self, name: &str, json: &str) -> Self {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        push_json_string(&mut self.0, name);
        self.0.push(b':');
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    /// Leaves the field away where there is nothing, or `null`.
    pub(super) fn json_if(self, name: &str, json: Option<&RawValue>) -> Self {
        match json.map(RawValue::get) {
            None | Some("null") => self,
            Some(json) => self.json(name, json),
        }
    }

    pub(super) fn with(mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        write(self.name(name));
        self
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    pub(super) fn bytes(self) -> Bytes {
        self.end().into()
    }
}

/// Writes a list, with commas between.
pub(super) fn push_list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// `["b",66787.7,0.12440000]`
pub(super) fn push_row(out: &mut Vec<u8>, row: &Row) {
    out.extend_from_slice(match row.side {
        Side::Bid => b"[\"b\",",
        Side::Ask => b"[\"a\",",
    });
    push_decimal(out, row.price);
    out.push(b',');
    push_decimal(out, row.qty);
    out.push(b']');
}

/// The best levels of a side: `[[price,qty],…]`.
pub(super) fn push_levels(out: &mut Vec<u8>, book: &Book, side: Side, count: usize) {
    push_list(out, book.levels(side).take(count), |out, (price, qty)| {
        out.push(b'[');
        push_decimal(out, price);
        out.push(b',');
        push_decimal(out, qty);
        out.push(b']');
    });
}

/// As `Display` writes it, without going through a formatter: books are mostly numbers.
fn push_decimal(out: &mut Vec<u8>, decimal: Decimal) {
    let Ok(mut units) = u64::try_from(decimal.units()) else {
        // Writing into a `Vec` cannot fail.
        let _ = write!(out, "{decimal}");
        return;
    };
    let start = out.len();
    let mut places = decimal.places();
    // Backwards, at least one digit before the point.
    loop {
        out.push(b'0' + u8::try_from(units % 10).unwrap_or_default());
        units /= 10;
        match places {
            0 if units == 0 => break,
            0 => continue,
            1 => out.push(b'.'),
            _ => {}
        }
        places -= 1;
    }
    if let Some(written) = out.get_mut(start..) {
        written.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_written_as_it_was_read() {
        for text in [
            "0",
            "7",
            "10",
            "0.0",
            "0.10",
            "66787.7",
            "0.12440000",
            "0.00000000",
            "100.001",
            "1.0",
            "18446744073709551615",
            "18446744073709551616",
            "1844674407370955161.5",
            "123456789012345678.9012345678901234567",
        ] {
            let decimal = Decimal::parse(text).unwrap();
            let mut out = Vec::new();
            push_decimal(&mut out, decimal);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
