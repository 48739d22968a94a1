//! `/echo`: what conformance suites talk to. It sends back what it hears, through the same codec, read loop and
//! outbox that serve `/ws`.

use tapeline_codec::websocket::encoder::{binary_frame, close_frame, pong_frame, text_frame};
use tapeline_codec::websocket::{Decoder, Event, Limits};
use tapeline_runtime::{Port, Protocol, Taken};

/// Suites send messages of 16 MiB.
const LIMITS: Limits = Limits { message_bytes: 16 << 20, fragments: 1 << 20 };

/// See the module.
pub(crate) struct Echo {
    decoder: Decoder,
}

impl Default for Echo {
    fn default() -> Self {
        Echo { decoder: Decoder::new(LIMITS) }
    }
}

impl Protocol for Echo {
    fn handle(&mut self, input: &mut [u8], port: &mut Port<'_>) -> Taken {
        let mut events = self.decoder.feed(input);
        loop {
            if !port.has_room() {
                return Taken::Some(events.consumed());
            }
            match events.next() {
                Ok(Some(Event::Text(text))) => port.send(&text_frame(text.as_bytes())),
                Ok(Some(Event::Binary(bytes))) => port.send(&binary_frame(bytes)),
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
