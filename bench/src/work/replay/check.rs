//! What every client has heard, held against what was published. On `every` channels each offset once,
//! in order, from 1 to the last; on `latest` growing offsets that end with the last; and always the very
//! bytes that were published (compared as they are, which is stricter than a hash and no slower).

use anyhow::Result;
use hdrhistogram::Histogram;

use super::recording::{CHANNELS, EVERY, Recording};
use crate::fleet::Hear;
use crate::procfs::float;
use crate::text;

const SHOWN: usize = 10;

/// One client's state.
#[derive(Clone, Default)]
struct Client {
    /// By channel: the last offset heard.
    last: [u64; CHANNELS.len()],
    every: u64,
    latest: u64,
}

pub(super) struct Check<'a> {
    recording: &'a Recording,
    clients: Vec<Client>,
    /// The clients before this one are fast.
    fast: usize,
    /// By channel: which message was published at which offset (from 1), and when.
    published: [Vec<(usize, u64)>; CHANNELS.len()],
    sent: u64,
    answered: u64,
    sent_every: u64,
    pub(super) deliveries: u64,
    latency: Histogram<u64>,
    wrong: u64,
    shown: Vec<String>,
}

impl<'a> Check<'a> {
    pub(super) fn new(recording: &'a Recording, clients: usize, slow: usize) -> Result<Self> {
        Ok(Self {
            recording,
            clients: vec![Client::default(); clients],
            fast: clients - slow,
            published: Default::default(),
            sent: 0,
            answered: 0,
            sent_every: 0,
            deliveries: 0,
            latency: Histogram::new_with_bounds(1_000, 600_000_000_000, 3)?,
            wrong: 0,
            shown: Vec::new(),
        })
    }

    /// Notes a publish: the n-th on its channel must come back with offset n.
    pub(super) fn on_published(&mut self, channel: usize, message: usize, now_ns: u64) {
        if let Some(list) = self.published.get_mut(channel) {
            list.push((message, now_ns));
        }
        self.sent += 1;
        self.sent_every += u64::from(channel < EVERY);
    }

    /// Messages that are not with every fast client, or not answered to the publisher.
    pub(super) fn outstanding(&self) -> u64 {
        let fast = self.clients.iter().take(self.fast);
        let slowest = fast.map(|client| client.every).min().unwrap_or(0);
        (self.sent_every.saturating_sub(slowest)).max(self.sent.saturating_sub(self.answered))
    }

    /// Clients that hold the last offset of every channel.
    pub(super) fn complete_clients(&self) -> usize {
        let ends = self.published.each_ref().map(|list| u64::try_from(list.len()).unwrap_or(0));
        self.clients.iter().filter(|client| client.last == ends).count()
    }

    /// Which share of the `latest` messages the fast or the slow clients heard.
    pub(super) fn latest_share(&self, fast: bool) -> f64 {
        let (fast_ones, slow_ones) = self.clients.split_at_checked(self.fast).unwrap_or_default();
        let group = if fast { fast_ones } else { slow_ones };
        let heard: u64 = group.iter().map(|client| client.latest).sum();
        let each = self.sent - self.sent_every;
        let whole = each * u64::try_from(group.len()).unwrap_or(0);
        float(heard) * 100.0 / float(whole.max(1))
    }

    /// Publish to callback, `every` channels, fast clients.
    pub(super) fn quantile_ms(&self, quantile: f64) -> f64 {
        float(self.latency.value_at_quantile(quantile)) / 1e6
    }

    /// All that was wrong; the first few word by word.
    pub(super) fn violations(&self) -> Vec<String> {
        let mut found = self.shown.clone();
        let more = self.wrong - u64::try_from(found.len()).unwrap_or(0);
        if more > 0 {
            found.push(format!("and {more} more"));
        }
        let lacking = self.clients.len() - self.complete_clients();
        if lacking > 0 {
            found.push(format!("{lacking} clients lack messages"));
        }
        if self.answered != self.sent {
            found.push(format!("{} of {} publishes were answered", self.answered, self.sent));
        }
        found
    }

    fn blame(&mut self, what: impl FnOnce() -> String) {
        self.wrong += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(what());
        }
    }

    fn on_publisher(&mut self, payload: &[u8]) {
        if text::find(payload.get(..40).unwrap_or(payload), br#""type":"published""#).is_some() {
            self.answered += 1;
        } else {
            self.blame(|| format!("the publisher heard {}", text::excerpt(payload)));
        }
    }
}

/// A delivery taken apart.
struct Parts<'p> {
    channel: usize,
    offset: u64,
    /// From the first byte of `data` to the end of the frame.
    data: &'p [u8],
}

fn parts(payload: &[u8]) -> Option<Parts<'_>> {
    let name_at =
        text::find(payload.get(..120).unwrap_or(payload), br#""channel":""#)? + br#""channel":""#.len();
    let rest = payload.get(name_at..)?;
    let names = |name: &&str| rest.starts_with(name.as_bytes()) && rest.get(name.len()) == Some(&b'"');
    let channel = CHANNELS.iter().position(names)?;
    let data_at = text::find(rest, br#""data":"#)? + br#""data":"#.len();
    let data = rest.get(data_at..)?;
    // Behind `data` stands the rest of the header; an `"offset":` inside of `data` must not be found.
    let tail = data.get(data.len().saturating_sub(240)..)?;
    let offset = text::digits(tail, text::find_last(tail, br#""offset":"#)? + br#""offset":"#.len())?;
    Some(Parts { channel, offset, data })
}

impl Hear for Check<'_> {
    fn on_text(&mut self, client: usize, payload: &[u8], now_ns: u64) {
        if client >= self.clients.len() {
            self.on_publisher(payload);
            return;
        }
        let head = payload.get(..40).unwrap_or(payload);
        let is_gap = text::find(head, br#""type":"gap""#).is_some();
        let Some(parts) = parts(payload).filter(|_| !is_gap) else {
            self.blame(|| format!("client {client} heard {}", text::excerpt(payload)));
            return;
        };
        self.deliveries += 1;
        let Parts { channel, offset, data } = parts;
        let name = CHANNELS.get(channel).copied().unwrap_or_default();
        let index = usize::try_from(offset).unwrap_or(0).checked_sub(1);
        let published = self.published.get(channel);
        let source = index.zip(published).and_then(|(index, list)| list.get(index)).copied();
        let is_fast = client < self.fast;
        let Some(state) = self.clients.get_mut(client) else { return };
        let Some(last) = state.last.get_mut(channel) else { return };
        let before = std::mem::replace(last, offset.max(*last));
        let in_order = if channel < EVERY {
            state.every += 1;
            offset == before + 1
        } else {
            state.latest += 1;
            offset > before
        };
        if !in_order {
            self.blame(|| format!("client {client}: {name} offset {offset} after {before}"));
        }
        let Some((message, sent_ns)) = source else {
            self.blame(|| format!("client {client}: {name} offset {offset} was never published"));
            return;
        };
        if channel < EVERY && is_fast {
            self.latency.saturating_record(now_ns.saturating_sub(sent_ns));
        }
        let original = self.recording.messages.get(message).map(|message| self.recording.bytes(message));
        let same = original.is_some_and(|original| {
            data.starts_with(original) && matches!(data.get(original.len()), Some(b',' | b'}'))
        });
        if !same {
            self.blame(|| format!("client {client}: {name} offset {offset} carries other bytes"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(recording: &Recording, message: usize, offset: u64) -> Vec<u8> {
        let message = recording.messages.get(message).unwrap();
        let data = String::from_utf8(recording.bytes(message).to_vec()).unwrap();
        let channel = CHANNELS[message.channel];
        format!(
            r#"{{"type":"x","channel":"{channel}","symbol":"BTCUSDT-SPOT","data":{data},"id":"1","offset":{offset},"epoch":"k"}}"#
        )
        .into_bytes()
    }

    /// Publishes everything, lets the one client hear `heard` (message, offset), and judges.
    fn judge(heard: &[(usize, u64)]) -> Vec<String> {
        let recording = Recording::sample();
        let mut check = Check::new(&recording, 1, 0).unwrap();
        for (index, message) in recording.messages.iter().enumerate() {
            check.on_published(message.channel, index, 0);
            check.on_text(1, br#"{"type":"published","offset":1}"#, 0);
        }
        for &(message, offset) in heard {
            check.on_text(0, &frame(&recording, message, offset), 1);
        }
        check.violations()
    }

    #[test]
    fn everything_once_in_order_is_no_violation() {
        assert_eq!(judge(&[(0, 1), (1, 2), (3, 1), (2, 3)]), Vec::<String>::new());
    }

    #[test]
    fn a_hole_a_repetition_other_bytes_and_a_missing_end_are_violations() {
        assert!(judge(&[(0, 1), (2, 3), (3, 1)]).concat().contains("offset 3 after 1"));
        assert!(judge(&[(0, 1), (1, 2), (1, 2), (2, 3), (3, 1)]).concat().contains("offset 2 after 2"));
        assert!(judge(&[(0, 1), (2, 2), (1, 3), (3, 1)]).concat().contains("carries other bytes"));
        assert_eq!(judge(&[(0, 1), (1, 2), (2, 3)]), ["1 clients lack messages"]);
        assert!(judge(&[(0, 1), (1, 2), (2, 3), (3, 2)]).concat().contains("never published"));
    }

    #[test]
    fn a_gap_is_a_violation() {
        let recording = Recording::sample();
        let mut check = Check::new(&recording, 1, 0).unwrap();
        check.on_text(0, br#"{"type":"gap","channel":"bn_trade:BTCUSDT-SPOT","from":1,"to":2}"#, 1);
        assert_eq!(check.violations().len(), 1);
    }
}
