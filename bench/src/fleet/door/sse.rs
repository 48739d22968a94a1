//! Server-Sent Events: one answer without an end, in chunks. Subscriptions are confirmed by events of their own.
//! The form of an event: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use anyhow::{Result, bail};

use super::{Stage, Turn, http};
use crate::fleet::Hear;
use crate::text;

/// See the module.
#[derive(Default)]
pub(in crate::fleet) struct Sse {
    /// An event of which a part came in a chunk before.
    begun: Vec<u8>,
}

/// Channels in the form that an address takes.
pub(super) fn query(channels: &[String]) -> String {
    let parts: Vec<String> = channels.iter().map(|channel| format!("channel={channel}")).collect();
    parts.join("&") + "&heartbeat=0&notices=0"
}

pub(super) fn request(host: &str, query: &[u8]) -> Vec<u8> {
    let query = String::from_utf8_lossy(query);
    format!("GET /events?{query} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n").into_bytes()
}

impl Sse {
    #[inline]
    pub(super) fn hear<H: Hear>(&mut self, bytes: &[u8], turn: &mut Turn<'_, H>) -> Result<usize> {
        let mut used = 0;
        if *turn.stage == Stage::Opening {
            let Some(head) = http::head(bytes)? else { return Ok(0) };
            if http::field(head, b"transfer-encoding:") != Some(b"chunked") {
                bail!("events that do not come in chunks: {}", text::excerpt(head));
            }
            used = head.len();
            turn.await_confirmations();
        }
        while let Some((data, whole)) = http::chunk(bytes.get(used..).unwrap_or_default())? {
            used += whole;
            if data.is_empty() {
                bail!("the server ended the events");
            }
            if self.begun.is_empty() {
                let rest = events(data, turn)?;
                self.begun.extend_from_slice(rest);
            } else {
                self.begun.extend_from_slice(data);
                let left = events(&self.begun, turn)?.len();
                self.begun.drain(..self.begun.len() - left);
            }
        }
        Ok(used)
    }
}

/// Takes the whole events; answers what is left.
fn events<'a, H: Hear>(mut data: &'a [u8], turn: &mut Turn<'_, H>) -> Result<&'a [u8]> {
    while let Some(end) = text::find(data, b"\n\n") {
        let (event, rest) = data.split_at_checked(end + 2).unwrap_or_default();
        data = rest;
        if *turn.stage == Stage::Ready {
            turn.text(event);
        } else if text::find(event, b"event: subscription_confirmed\n").is_some() {
            turn.confirm();
        } else if text::find(event, b"data:").is_some() {
            bail!("an event before the subscription is confirmed: {}", text::excerpt(event));
        }
    }
    Ok(data)
}
