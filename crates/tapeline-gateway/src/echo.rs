//! `/echo`: what conformance suites talk to. It sends back what it hears, through the same codec, read loop and
//! outbox that serve `/ws`.

use tapeline_codec::websocket::encoder::{close_frame, deflated_frame, frame, pong_frame};
use tapeline_codec::websocket::{Agreement, Decoder, Event, Limits, Opcode};
use tapeline_runtime::{Port, Protocol, Taken};

/// Suites send messages of 16 MiB.
const LIMITS: Limits = Limits { message_bytes: 16 << 20, fragments: 1 << 20 };

/// See the module.
pub(crate) struct Echo {
    decoder: Decoder,
    /// Whether what gets shorter is compressed, however short it is.
    compress: bool,
}

impl Echo {
    pub(crate) fn new(deflate: Option<Agreement>) -> Self {
        let decoder = Decoder::new(LIMITS).with_deflate(deflate.is_some());
        Echo { decoder, compress: deflate.is_some_and(Agreement::takes_shared_frames) }
    }
}

fn back(opcode: Opcode, payload: &[u8], compress: bool) -> Vec<u8> {
    let deflated = if compress { deflated_frame(opcode, payload) } else { None };
    deflated.unwrap_or_else(|| frame(opcode, payload))
}

impl Protocol for Echo {
    fn handle(&mut self, input: &mut [u8], port: &mut Port<'_>) -> Taken {
        let compress = self.compress;
        let mut events = self.decoder.feed(input);
        loop {
            if !port.has_room() {
                return Taken::Some(events.consumed());
            }
            match events.next() {
                Ok(Some(Event::Text(text))) => port.send(&back(Opcode::Text, text.as_bytes(), compress)),
                Ok(Some(Event::Binary(bytes))) => port.send(&back(Opcode::Binary, bytes, compress)),
                Ok(Some(Event::Ping(body))) => port.send(&pong_frame(body)),
                Ok(Some(Event::Pong(_))) => {}
                Ok(Some(Event::Close(close))) => {
                    port.close_with(&close_frame(close.code, close.reason));
                    return Taken::All;
                }
                Ok(None) => return Taken::All,
                Err(error) => {
                    port.close_with(&close_frame(Some(error.close_code()), &error.to_string()));
                    return Taken::All;
                }
            }
        }
    }
}
