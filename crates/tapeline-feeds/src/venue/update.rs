//! A session's event as the update that pipelines take: of a book, its best levels as they are now. It does not know who
//! takes it.

use std::sync::Arc;

use tapeline_core::channel::push_json_string;
use tapeline_core::feed::{Update, UpdateKind, VenueChannel};

use super::{BookChange, Event, Session};
use crate::book::{Book, Side};

impl Event {
    /// The update that a pipeline takes, of a feed of this name: with this event the session's book is asked for so many
    /// of its best levels a side. Nothing of what is only for whoever runs the feed: connections, gaps, the venue's state.
    pub fn update(&self, source: &Arc<str>, session: &dyn Session, levels: usize) -> Option<Update> {
        match self {
            Event::Update(update) => Some(update.clone()),
            Event::Book(change) => {
                let book = session.book(&change.symbol)?;
                Some(change.update(source, book, levels))
            }
            _ => None,
        }
    }
}

impl BookChange {
    fn update(&self, source: &Arc<str>, book: &Book, levels: usize) -> Update {
        let mut data = b"{\"symbol\":".to_vec();
        push_json_string(&mut data, &self.symbol);
        for (name, side) in [("bids", Side::Bid), ("asks", Side::Ask)] {
            data.extend_from_slice(format!(",\"{name}\":[").as_bytes());
            for (place, (price, qty)) in book.levels(side).take(levels).enumerate() {
                let comma = if place > 0 { "," } else { "" };
                data.extend_from_slice(format!("{comma}{{\"price\":{price},\"qty\":{qty}}}").as_bytes());
            }
            data.push(b']');
        }
        if let Some(checksum) = self.checksum {
            data.extend_from_slice(format!(",\"checksum\":{checksum}").as_bytes());
        }
        if let Some(timestamp) = &self.timestamp {
            data.extend_from_slice(b",\"timestamp\":");
            push_json_string(&mut data, timestamp);
        }
        data.push(b'}');
        let venue = self.timestamp.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        Update {
            source: source.clone(),
            channel: VenueChannel::Book,
            kind: if self.is_snapshot { UpdateKind::Snapshot } else { UpdateKind::Change },
            symbol: Some(self.symbol.clone()),
            data: data.into(),
            id: None,
            sequence: None,
            venue_us: venue.and_then(|time| u64::try_from(time.as_microsecond()).ok()),
            received: self.received,
        }
    }
}

#[cfg(test)]
mod tests {
    use tapeline_core::Now;

    use super::*;
    use crate::book::{Decimal, Row};

    #[test]
    fn a_book_is_told_as_its_best_levels_with_the_digits_as_sent() {
        let row = |side, price, qty| {
            let number = |text| Decimal::parse(text).unwrap();
            Row { side, price: number(price), qty: number(qty) }
        };
        let mut book = Book::new(10);
        let rows =
            [row(Side::Bid, "1.10", "2.00"), row(Side::Bid, "1.20", "0.50"), row(Side::Ask, "1.30", "7")];
        book.apply(&rows, &mut Vec::new());
        let change = BookChange {
            symbol: "A\"B/USD".into(),
            is_snapshot: false,
            rows: Vec::new(),
            checksum: Some(7),
            timestamp: Some("2026-01-01T00:00:00.000001Z".into()),
            received: Now::default(),
        };
        let update = change.update(&"kraken".into(), &book, 1);
        let text = std::str::from_utf8(&update.data).unwrap();
        assert_eq!(
            text,
            r#"{"symbol":"A\"B/USD","bids":[{"price":1.20,"qty":0.50}],"asks":[{"price":1.30,"qty":7}],"checksum":7,"timestamp":"2026-01-01T00:00:00.000001Z"}"#
        );
        assert_eq!(update.venue_us, Some(1_767_225_600_000_001));
    }
}
