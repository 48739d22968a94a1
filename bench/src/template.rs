//! The message that every synthetic workload publishes, and where its three variable fields stand.
//! All are of fixed width, so the floor patches bytes in place and every delivery has one length:
//! `{"action":"publish","channel":"bench:0000","data":{"n":…10 digits,"t":…16 digits,"pad":"…"}}`.

use anyhow::{Context, Result};

use crate::fleet::Door;
use crate::{text, wire};

const HEAD: &str = r#"{"action":"publish","channel":"bench:"#;
const CHANNEL_WIDTH: usize = 4;
const N_WIDTH: usize = 10;
const T_WIDTH: usize = 16;

/// The first sequence number: a JSON number may not begin with 0 and must keep its width.
pub(crate) const FIRST_N: u64 = 1_000_000_000;

/// Where the fields stand in a published text.
pub(crate) const CHANNEL_AT: usize = HEAD.len();
/// `","data":{"n":` stands between the channel's number and the sequence number.
pub(crate) const N_AT: usize = CHANNEL_AT + CHANNEL_WIDTH + r#"","data":{"n":"#.len();
/// `,"t":` stands between the sequence number and the send time.
pub(crate) const T_AT: usize = N_AT + N_WIDTH + r#","t":"#.len();

/// The name of a synthetic channel.
pub(crate) fn channel(number: usize) -> String {
    format!("bench:{number:04}")
}

/// `data` with `len` bytes.
fn data(len: usize) -> String {
    let bare = format!(r#"{{"n":{FIRST_N},"t":{:016},"pad":""}}"#, 0);
    let pad = "x".repeat(len.saturating_sub(bare.len()));
    format!(r#"{{"n":{FIRST_N},"t":1000000000000000,"pad":"{pad}"}}"#)
}

/// A publish to be filled in and sent.
pub(crate) struct Publish {
    text: Vec<u8>,
    /// Where the channel's number stands; the other fields follow at fixed distances.
    channel_at: usize,
    n_at: usize,
    /// It leaves in a masked frame.
    framed: bool,
}

impl Publish {
    /// A publish whose `data` has `data_len` bytes, for the native door.
    pub(crate) fn new(data_len: usize) -> Self {
        Self::at(Door::Native, data_len)
    }

    /// The same as the publisher of a door sends it.
    pub(crate) fn at(door: Door, data_len: usize) -> Self {
        let data = data(data_len);
        let (head, between, tail, framed) = match door.of_publisher() {
            Door::Redis => {
                let between = format!("\r\n${}\r\n", data.len());
                ("*3\r\n$7\r\nPUBLISH\r\n$10\r\nbench:", between, "\r\n", false)
            }
            Door::SocketIo => (r#"42["publish",{"channel":"bench:"#, r#"","data":"#.to_owned(), "}]", true),
            _ => (HEAD, r#"","data":"#.to_owned(), "}", true),
        };
        let text = format!("{head}0000{between}{data}{tail}").into_bytes();
        let n_at = head.len() + CHANNEL_WIDTH + between.len() + r#"{"n":"#.len();
        Self { text, channel_at: head.len(), n_at, framed }
    }

    /// Appends one publish.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, channel: usize, n: u64, t: u64) {
        let number = u64::try_from(channel).unwrap_or(0);
        let t_at = self.n_at + (T_AT - N_AT);
        for (at, width, value) in
            [(self.channel_at, CHANNEL_WIDTH, number), (self.n_at, N_WIDTH, n), (t_at, T_WIDTH, t)]
        {
            if let Some(place) = self.text.get_mut(at..at + width) {
                text::put_digits(place, value);
            }
        }
        if self.framed {
            wire::put_masked(out, wire::TEXT, &self.text);
        } else {
            out.extend_from_slice(&self.text);
        }
    }
}

/// Reads the sequence number and the send time out of a delivered frame. Remembers where the last
/// one stood: a hub that puts its fields in one order is looked at in one place.
#[derive(Default)]
pub(crate) struct Reader {
    n_at: usize,
}

impl Reader {
    /// The sequence number, or `None` when the frame carries none.
    #[inline]
    pub(crate) fn n(&mut self, payload: &[u8]) -> Option<u64> {
        let stands = |at: usize| payload.get(at.wrapping_sub(5)..at) == Some(br#"{"n":"#.as_slice());
        if !stands(self.n_at) {
            self.n_at = text::find(payload, br#"{"n":"#)? + 5;
        }
        text::digits(payload, self.n_at)
    }

    /// The sequence number and the send time.
    #[inline]
    pub(crate) fn n_and_t(&mut self, payload: &[u8]) -> Option<(u64, u64)> {
        let n = self.n(payload)?;
        let t = text::digits(payload, self.n_at + (T_AT - N_AT))?;
        Some((n, t))
    }
}

/// A delivered frame, header included, as the floor sends it again and again.
pub(crate) struct Delivery {
    bytes: Vec<u8>,
    channel_at: usize,
    n_at: usize,
    t_at: usize,
}

impl Delivery {
    /// Finds the three places in a captured frame.
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Self> {
        let place = |needle: &[u8]| {
            let at = text::find(&bytes, needle).map(|at| at + needle.len());
            at.with_context(|| format!("the captured frame lacks {}", String::from_utf8_lossy(needle)))
        };
        let channel_at = place(br#""channel":"bench:"#)?;
        let n_at = place(br#"{"n":"#)?;
        let t_at = place(br#","t":"#)?;
        Ok(Self { channel_at, n_at, t_at, bytes })
    }

    /// What the product would send for a publish with `data_len` bytes, when none could be captured.
    pub(crate) fn imagined(data_len: usize) -> Result<Self> {
        let payload = format!(
            r#"{{"type":"message","channel":"bench:0000","data":{},"timestamp":"2026-01-01T12:00:00.000001Z","id":"01941f29-7c00-7000-8000-000000000001","offset":1000,"epoch":"k3x9w2"}}"#,
            data(data_len)
        );
        let mut bytes = Vec::new();
        wire::put_plain(&mut bytes, wire::TEXT, payload.as_bytes());
        Self::new(bytes)
    }

    /// Copies the three fields of a published (still masked) text into the frame.
    pub(crate) fn patch(&mut self, published: &[u8], mask: [u8; 4]) {
        let copies = [
            (CHANNEL_AT, self.channel_at, CHANNEL_WIDTH),
            (N_AT, self.n_at, N_WIDTH),
            (T_AT, self.t_at, T_WIDTH),
        ];
        for (from, to, width) in copies {
            let source = published.get(from..from + width).unwrap_or_default();
            let target = self.bytes.get_mut(to..to + width).unwrap_or_default();
            for (place, (byte, key)) in target.iter_mut().zip(source.iter().zip(key_from(mask, from))) {
                *place = byte ^ key;
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The channel's number in a published (still masked) text.
pub(crate) fn channel_of(published: &[u8], mask: [u8; 4]) -> usize {
    let bytes = published.get(CHANNEL_AT..CHANNEL_AT + CHANNEL_WIDTH).unwrap_or_default();
    let digits =
        bytes.iter().zip(key_from(mask, CHANNEL_AT)).map(|(byte, key)| (byte ^ key).wrapping_sub(b'0'));
    digits.fold(0, |sum, digit| sum * 10 + usize::from(digit))
}

/// The mask's bytes as they fall on the payload from `at` on.
pub(crate) fn key_from(mask: [u8; 4], at: usize) -> impl Iterator<Item = u8> {
    mask.into_iter().cycle().skip(at % 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_arrives_in_the_floors_frame() {
        let mut out = Vec::new();
        Publish::new(200).put(&mut out, 417, FIRST_N + 99, 1_000_000_123_456_789);
        let (header, payload, _) = wire::frame(&out).unwrap().unwrap();
        let mask = header.mask.unwrap();
        assert_eq!(channel_of(payload, mask), 417);

        let mut delivery = Delivery::imagined(200).unwrap();
        delivery.patch(payload, mask);
        let (_, payload, _) = wire::frame(delivery.bytes()).unwrap().unwrap();
        assert_eq!(Reader::default().n_and_t(payload), Some((FIRST_N + 99, 1_000_000_123_456_789)));
        let json: serde_json::Value = serde_json::from_slice(payload).unwrap();
        assert_eq!(json.get("channel").unwrap(), "bench:0417");
        assert_eq!(json.get("data").unwrap().to_string().len(), 200);
    }

    #[test]
    fn each_door_publishes_the_same_data_in_its_own_frame() {
        let publish = |door| {
            let mut out = Vec::new();
            Publish::at(door, 200).put(&mut out, 417, FIRST_N + 99, 1_000_000_123_456_789);
            out
        };
        let unmasked = |out: Vec<u8>| {
            let (header, payload, _) = wire::frame(&out).unwrap().unwrap();
            let key = key_from(header.mask.unwrap(), 0);
            String::from_utf8(payload.iter().zip(key).map(|(byte, key)| byte ^ key).collect()).unwrap()
        };
        let native: serde_json::Value = serde_json::from_str(&unmasked(publish(Door::Sse))).unwrap();
        let data = native.get("data").unwrap();
        let packet = unmasked(publish(Door::Polling));
        let event: serde_json::Value = serde_json::from_str(packet.strip_prefix("42").unwrap()).unwrap();
        assert_eq!(event, serde_json::json!(["publish", { "channel": "bench:0417", "data": data }]));
        let command = String::from_utf8(publish(Door::Redis)).unwrap();
        let text = data.to_string();
        assert_eq!(text.len(), 200);
        assert!(command.starts_with("*3\r\n$7\r\nPUBLISH\r\n$10\r\nbench:0417\r\n$200\r\n"), "{command}");
        assert_eq!(
            Reader::default().n_and_t(command.as_bytes()),
            Some((FIRST_N + 99, 1_000_000_123_456_789))
        );
    }
}
