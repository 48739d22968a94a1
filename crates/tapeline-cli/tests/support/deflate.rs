//! A client of the native protocol that negotiates permessage-deflate and shows which frames came compressed.
//! Its DEFLATE is flate2's, frame by frame; the rest is `raw`.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::{Value, json};

use super::raw::{Raw, handshake, masked, masked_frame};
use super::{Hub, raw::Head};

/// RFC 7692, 7.2.1: what ends a flushed block and does not travel.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// A text frame of the hub.
#[derive(Debug)]
pub(crate) struct Got {
    /// Whether it came compressed.
    pub(crate) compressed: bool,
    /// As it travelled.
    pub(crate) payload: Vec<u8>,
    /// What it says.
    pub(crate) text: String,
}

impl Got {
    /// What it says, parsed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {}", self.text))
    }
}

/// One connection.
pub(crate) struct Deflating {
    raw: Raw,
}

/// The answer to an upgrade of `path` with this offer, and the connection.
pub(crate) fn offer(hub: &Hub, path: &str, offer: &str) -> (Head, Deflating) {
    let header = format!("Sec-WebSocket-Extensions: {offer}\r\n");
    let mut raw = Raw::send_to(hub, handshake(hub, path, &header));
    let head = raw.head();
    assert_eq!(head.status, 101, "an offer never fails the handshake");
    (head, Deflating { raw })
}

/// The bytes as a compressed message's payload.
pub(crate) fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 100);
    let mut zlib = Compress::new(Compression::best(), false);
    zlib.compress_vec(bytes, &mut out, FlushCompress::Sync).expect("there is room");
    assert!(out.ends_with(&TAIL), "the flush is complete");
    out.truncate(out.len() - TAIL.len());
    out
}

fn inflated(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 << 20);
    let whole = [payload, &TAIL].concat();
    let mut zlib = Decompress::new(false);
    zlib.decompress_vec(&whole, &mut out, FlushDecompress::Sync).expect("it is deflate data");
    assert_eq!(zlib.total_in(), whole.len() as u64, "it is one message");
    out
}

impl Deflating {
    /// A connection as browsers make it.
    pub(crate) fn connect(hub: &Hub) -> Deflating {
        let (head, client) = offer(hub, "/ws", "permessage-deflate; client_max_window_bits");
        assert!(head.header("sec-websocket-extensions").is_some(), "it is negotiated");
        client
    }

    /// Sends these bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.raw.send(bytes);
    }

    /// Sends text, not compressed.
    pub(crate) fn send(&mut self, request: &Value) {
        self.raw.send(masked(1, request.to_string().as_bytes()));
    }

    /// Sends text, compressed.
    pub(crate) fn send_compressed(&mut self, text: &str) {
        self.raw.send(masked_frame(0xc1, &deflated(text.as_bytes())));
    }

    /// The next frame, which must be text.
    pub(crate) fn next(&mut self) -> Got {
        let frame = self.raw.frame();
        assert_eq!(frame.opcode, 1, "{:?}", String::from_utf8_lossy(&frame.payload));
        let bytes = if frame.compressed { inflated(&frame.payload) } else { frame.payload.clone() };
        let text = String::from_utf8(bytes).expect("text is UTF-8");
        Got { compressed: frame.compressed, payload: frame.payload, text }
    }

    /// The code the hub closes with; frames before that are passed over.
    pub(crate) fn close_code(&mut self) -> u16 {
        loop {
            if let Some(code) = self.raw.frame().close_code() {
                return code;
            }
        }
    }

    /// Subscribes to a channel, which must be confirmed.
    pub(crate) fn subscribe(&mut self, channel: &str) {
        self.send(&json!({"action": "subscribe", "channel": channel}));
        let confirmed = self.next();
        assert!(confirmed.text.contains("subscription_confirmed"), "{}", confirmed.text);
    }
}
