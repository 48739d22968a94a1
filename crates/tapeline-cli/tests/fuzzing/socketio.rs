//! Any text as packets of Socket.IO clients: through the codecs, the commands and a shard with everything behind it, and back
//! as packets. A byte that UTF-8 does not have (0xff) stands between two packets; every other one is a second client's.

use serde_json::value::RawValue;
use tapeline_gateway::fuzzing::engineio::{Packet, Piece, pieces, push_binary, push_text};
use tapeline_gateway::fuzzing::{self, packets};

use super::native::Desk;

/// The check of the target `socketio`.
pub(crate) fn check(input: &[u8]) {
    let mut desk = Desk::new(tapeline_gateway::socketio::plain());
    for (number, packet) in input.split(|byte| *byte == 0xff).enumerate() {
        let Ok(text) = std::str::from_utf8(packet) else { continue };
        body(text);
        placeholders(text);
        if let Some((req, read)) = fuzzing::socketio(text) {
            desk.ask(number % 2, read, &req);
        }
    }
    desk.end(packet);
}

/// What a body is read as is written as the same body.
fn body(text: &str) {
    let Ok(read) = pieces(text).map(Piece::parse).collect::<Result<Vec<_>, _>>() else { return };
    let mut again = Vec::new();
    for (piece, text) in read.iter().zip(pieces(text)) {
        match piece {
            Piece::Text(_) => push_text(&mut again, text.as_bytes()),
            Piece::Binary(bytes) => push_binary(&mut again, bytes),
        }
    }
    assert_eq!(again, text.as_bytes(), "{text:?}");
}

fn placeholders(text: &str) {
    if let Ok(Packet::Message(message)) = Packet::parse(text)
        && let Ok(packet) = packets::Packet::parse(message)
    {
        let _ = packets::check_placeholders(packet.payload.unwrap_or_default(), packet.attachments);
    }
}

/// What leaves is a ping, an event or an acknowledgement, which the codec takes for one too.
fn packet(text: &str) {
    if text == "2" {
        return;
    }
    let message = text.strip_prefix('4').unwrap_or_else(|| panic!("no message: {text}"));
    let packet = packets::Packet::parse(message).unwrap_or_else(|broken| panic!("{broken}: {text}"));
    let payload = packet.payload.unwrap_or_else(|| panic!("nothing is said: {text}"));
    match packet.kind {
        packets::Kind::Event => {
            let event = packets::event(payload).unwrap_or_else(|broken| panic!("{broken}: {text}"));
            assert_eq!(event.arguments.len(), 1, "{text}");
        }
        packets::Kind::Ack => {
            let said: Vec<&RawValue> =
                serde_json::from_str(payload).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(said.len(), 1, "{text}");
        }
        other => panic!("{other:?}: {text}"),
    }
}
