//! What the parts of the synthetic market share: the moment they are asked at, and how a publication is written.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tapeline_core::channel::push_json_string;
use tapeline_core::clock::{micros, rfc3339};
use tapeline_core::command::Publication;

use crate::random::Random;

/// One moment of the market, and where its publications go.
pub(super) struct Moment<'a> {
    pub elapsed: Duration,
    pub start_us: u64,
    pub random: &'a mut Random,
    pub due: &'a mut Vec<Publication>,
}

impl Moment<'_> {
    /// The wall time of this moment, as text.
    pub(super) fn time(&self) -> String {
        rfc3339(self.start_us.saturating_add(micros(self.elapsed)))
    }

    /// Publishes one object, its fields in this order.
    pub(super) fn publish<const N: usize>(
        &mut self,
        channel: impl Into<Box<str>>,
        fields: [(&str, Value); N],
    ) {
        let data = Bytes::from(object(fields).into_bytes());
        self.due.push(Publication { channel: channel.into(), data, ..Publication::default() });
    }

    /// Publishes a whole table.
    pub(super) fn publish_table(&mut self, channel: impl Into<Box<str>>, rows: &[String]) {
        let data = Bytes::from(format!("{{\"rows\":[{}],\"snapshot\":true}}", rows.join(",")));
        self.due.push(Publication { channel: channel.into(), data, ..Publication::default() });
    }
}

/// A JSON object with its fields in this order, which a `Value` would sort.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> String {
    let mut out = Vec::with_capacity(256);
    for (name, value) in fields {
        out.push(if out.is_empty() { b'{' } else { b',' });
        push_json_string(&mut out, name);
        out.push(b':');
        out.extend_from_slice(value.to_string().as_bytes());
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default()
}

/// `units` of which `scale` make one, as the number that a reader expects.
pub(super) fn decimal(units: i64, scale: i64) -> Value {
    if scale <= 1 { Value::from(units) } else { Value::from(units as f64 / scale as f64) }
}
