//! The messages of the ingest workload: quotes as the catalogue's `market_data` family wants them, and
//! the loop that parses the same bytes and does nothing else.

use std::borrow::Cow;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::procfs::float;
use crate::wire;

/// Where all quotes go.
pub(super) const CHANNEL: &str = "market_data:AAPL";
/// So many different messages go round.
const VARIETY: u64 = 64;

fn data(n: u64) -> String {
    let cents = n * 37 % 10_000;
    format!(r#"{{"symbol":"AAPL","price":187.{cents:04},"change":-0.{cents:04},"volume":{}}}"#, 1_000_000 + n)
}

fn envelope(n: u64) -> String {
    format!(r#"{{"channel":"{CHANNEL}","data":{}}}"#, data(n))
}

fn batch(first: u64, len: usize) -> String {
    let envelopes: Vec<String> = (first..).take(len).map(envelope).collect();
    format!("[{}]", envelopes.join(","))
}

fn post(host: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Ready-made requests that publish one quote each.
pub(super) fn requests(host: &str) -> Vec<Vec<u8>> {
    (0..VARIETY).map(|n| post(host, "/publish", &envelope(n))).collect()
}

/// Ready-made requests that publish `len` quotes each.
pub(super) fn batch_requests(host: &str, len: usize) -> Vec<Vec<u8>> {
    (0..8).map(|n| post(host, "/publish/batch", &batch(n * 1000, len))).collect()
}

/// Ready-made publishes over WebSocket, masked.
pub(super) fn frames() -> Vec<Vec<u8>> {
    let publish = |n| format!(r#"{{"action":"publish","channel":"{CHANNEL}","data":{}}}"#, data(n));
    (0..VARIETY).map(|n| wire::text(&publish(n))).collect()
}

/// What a hub has to learn from an envelope.
#[derive(Deserialize)]
#[expect(dead_code, reason = "parsed, never looked at: that is the floor")]
struct Envelope<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    correlation_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    idempotency_key: Option<Cow<'a, str>>,
}

/// Parses batches for a time; answers envelopes per second.
pub(super) fn parse_loop(len: usize, time: Duration) -> Result<f64> {
    let bodies: Vec<String> = (0..8).map(|n| batch(n * 1000, len)).collect();
    let mut parsed = 0;
    let start = Instant::now();
    loop {
        for body in &bodies {
            let envelopes: Vec<Envelope<'_>> = serde_json::from_slice(black_box(body.as_bytes()))?;
            if envelopes.len() != len {
                bail!("the parse loop lost envelopes");
            }
            parsed += u64::try_from(black_box(envelopes).len())?;
        }
        let elapsed = start.elapsed();
        if elapsed >= time {
            return Ok(float(parsed) / elapsed.as_secs_f64());
        }
    }
}
