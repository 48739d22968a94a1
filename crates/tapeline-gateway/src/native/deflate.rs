//! The native protocol for clients that negotiated permessage-deflate: the frames of [`NATIVE`], compressed where
//! that is worth it. A compressed message is one frame for all of them, made at its first write.

use bytes::Bytes;
use tapeline_codec::websocket::Opcode;
use tapeline_codec::websocket::encoder::{deflated_frame, payload_of};
use tapeline_core::stats::Count;
use tapeline_core::{Channel, Message, Reply, Wire};
use tapeline_schema::{CloseCode, Compress};

use super::wire::NATIVE;

/// The native protocol's byte format with compression.
pub static NATIVE_DEFLATE: DeflateWire = DeflateWire { messages: Count::new(), replies: Count::new() };

/// Frames of no more bytes are left as they are.
const FRAME_BYTES: usize = 1 << 10;

/// See [`NATIVE_DEFLATE`].
pub struct DeflateWire {
    messages: Count,
    replies: Count,
}

impl DeflateWire {
    /// Messages compressed, each once whatever the number of its receivers.
    pub fn messages(&self) -> u64 {
        self.messages.read()
    }

    /// Answers compressed, each for one client.
    pub fn replies(&self) -> u64 {
        self.replies.read()
    }
}

impl Wire for DeflateWire {
    fn slot(&self) -> usize {
        1
    }

    fn same_as(&self, message: &Message) -> Option<&'static dyn Wire> {
        let is_plain = !may_compress(&message.channel) || message.encoded(&NATIVE).len() <= FRAME_BYTES;
        is_plain.then_some(&NATIVE)
    }

    fn message(&self, message: &Message) -> Box<[u8]> {
        let plain = message.encoded(&NATIVE);
        match deflated_frame(Opcode::Text, payload_of(plain)) {
            Some(frame) => {
                self.messages.add(1);
                frame.into_boxed_slice()
            }
            None => plain.into(),
        }
    }

    fn reply(&self, reply: &Reply) -> Bytes {
        let plain = NATIVE.reply(reply);
        // Kept messages are the family's own bytes: what it does not want compressed is not compressed here either.
        let allowed = match reply {
            Reply::History { channel, .. } | Reply::Last { channel, .. } => may_compress(channel),
            _ => true,
        };
        if !allowed || plain.len() <= FRAME_BYTES {
            return plain;
        }
        match deflated_frame(Opcode::Text, payload_of(&plain)) {
            Some(frame) => {
                self.replies.add(1);
                frame.into()
            }
            None => plain,
        }
    }

    fn close(&self, code: CloseCode, reason: &str) -> Bytes {
        NATIVE.close(code, reason)
    }

    fn ping(&self) -> Bytes {
        NATIVE.ping()
    }

    fn is_slow(&self) -> bool {
        true
    }
}

fn may_compress(channel: &Channel) -> bool {
    channel.spec().compress == Compress::Auto
}

#[cfg(test)]
mod tests {
    use tapeline_core::directory::Directory;
    use tapeline_core::message::Draft;
    use tapeline_schema::{Catalog, ChannelSpec, Delivery, Priority};

    use super::*;

    fn message(channel: &str, len: usize) -> Message {
        let mut catalog = Catalog::built_in();
        let sealed = ChannelSpec::of("sealed", "sealed", Priority::High, Delivery::Latest);
        catalog.add(sealed.compress(Compress::Never)).unwrap();
        let draft = Draft {
            channel: Directory::new(catalog).channel(channel).unwrap(),
            kind: None,
            data: format!("\"{}\"", "x".repeat(len)).into(),
            rows: None,
            correlation_id: None,
            idempotency: None,
            owner: None,
            from_plain_name: false,
            id: Default::default(),
            timestamp_us: 0,
        };
        Message::new(draft, 1, "epoch".into(), Default::default())
    }

    #[test]
    fn what_stays_plain_for_its_size_or_family_is_the_plain_wires_bytes_and_no_copy() {
        for (channel, len, shares) in [("news", 10, true), ("news", 5_000, false), ("sealed", 5_000, true)] {
            let message = message(channel, len);
            let compressed = message.encoded(&NATIVE_DEFLATE);
            let plain = message.encoded(&NATIVE);
            assert_eq!(std::ptr::eq(compressed, plain), shares, "{channel} {len}");
            assert_eq!(compressed[0], if shares { 0x81 } else { 0xc1 }, "{channel} {len}");
        }
    }
}
