//! What must hold for every stream of bytes: cuts change nothing, and tungstenite agrees.
//!
//! Owns the list of places where the two implementations may differ, each with its clause of RFC 6455.
//! Refuses to know where the stream comes from: property tests and fuzz targets call the same functions.

use std::io::{self, Read, Write};

use tapeline_codec::websocket::{Decoder, Event, Limits, ProtocolError};
use tungstenite::{
    Message, WebSocket,
    protocol::{Role, WebSocketConfig, frame::coding::CloseCode},
};

/// High enough for one message with a 64-bit length.
const MESSAGE_BYTES: usize = 66_000;

/// An event that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close.
    Close(Option<u16>, String),
}

type Heard = (Vec<Said>, Option<ProtocolError>);

/// What one feed after the other says, in pieces whose sizes `cuts` gives in turn, stopping after every third event
/// as a caller under backpressure does. `deflate`: whether permessage-deflate was negotiated.
pub(crate) fn hear_in_pieces(stream: &[u8], cuts: &[u8], deflate: bool) -> Heard {
    let limits = Limits { message_bytes: MESSAGE_BYTES, fragments: u32::MAX };
    let mut decoder = Decoder::new(limits).with_deflate(deflate);
    let mut heard: Heard = (Vec::new(), None);
    let mut rest = stream;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let size = cuts.next().map_or(usize::MAX, |cut| usize::from(*cut).max(1));
        // A cut of 255 takes all there is, so that long streams end.
        let size = if size >= 255 { rest.len() } else { size.min(rest.len()) };
        let mut piece = rest.get(..size).unwrap_or_default().to_vec();
        let consumed = hear(&mut decoder, &mut piece, &mut heard);
        assert!(
            piece.get(consumed..) == rest.get(consumed..size),
            "bytes behind the consumed ones were changed"
        );
        rest = rest.get(consumed..).unwrap_or_default();
    }
    heard
}

fn hear(decoder: &mut Decoder, piece: &mut [u8], (said, error): &mut Heard) -> usize {
    let mut events = decoder.feed(piece);
    for _ in 0..3 {
        match events.next() {
            Ok(Some(event)) => {
                assert!(error.is_none(), "{event:?} came after {error:?}");
                said.push(Said::from(event));
            }
            Ok(None) => break,
            Err(broken) => {
                assert!(error.is_none(), "{broken:?} came after {error:?}");
                *error = Some(broken);
            }
        }
    }
    events.consumed()
}

/// A stream says the same whole, byte by byte, and in the given pieces, with permessage-deflate and without.
pub(crate) fn cuts_change_nothing(stream: &[u8], cuts: &[u8]) {
    for deflate in [false, true] {
        let whole = hear_in_pieces(stream, &[255], deflate);
        assert_eq!(hear_in_pieces(stream, cuts, deflate), whole);
        if stream.len() < 4096 {
            assert_eq!(hear_in_pieces(stream, &[1], deflate), whole);
        }
    }
}

/// Both implementations hear the same messages up to the first offence, and both hear one or neither does.
pub(crate) fn tungstenite_agrees(stream: &[u8]) {
    let (ours, error) = hear_in_pieces(stream, &[255], false);
    let Some(error) = error else {
        let (theirs, broken) = tungstenite_hears(stream.to_vec());
        // 7.4.2 leaves 1000-2999 to IANA, which has since registered 1014; tungstenite refuses it.
        let refused_1014 = broken && matches!(ours.last(), Some(Said::Close(Some(1014), _)));
        let same = if refused_1014 {
            ours.split_last().is_some_and(|(_, rest)| rest == theirs)
        } else {
            ours == theirs
        };
        assert!(same && (!broken || refused_1014), "ours {ours:?}, theirs {theirs:?}, broken: {broken}");
        return;
    };
    // 10.7 leaves the moment of failing open. Tungstenite wants a whole frame before it judges it; we fail at the
    // first hopeless byte (8.1 for text; header rules at their byte). So give it the end of any frame we allow.
    let mut padded = stream.to_vec();
    padded.resize(stream.len() + MESSAGE_BYTES + 16, 0);
    let (theirs, broken) = tungstenite_hears(padded);
    // 5.2: the minimal number of bytes MUST be used for the length, and its top bit MUST be 0. Tungstenite lets the
    // former pass and may hear more, also in a control frame, where an extended length is too long for us (5.5).
    if matches!(error, ProtocolError::LengthNotMinimal(_) | ProtocolError::ControlTooLong) {
        assert!(theirs.starts_with(&ours), "ours {ours:?} and {error:?}, theirs {theirs:?}");
        return;
    }
    assert!(ours == theirs && broken, "ours {ours:?} and {error:?}, theirs {theirs:?}, broken: {broken}");
}

fn tungstenite_hears(stream: Vec<u8>) -> (Vec<Said>, bool) {
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES)).max_frame_size(Some(MESSAGE_BYTES));
    let client = Client { stream: io::Cursor::new(stream) };
    let mut socket = WebSocket::from_raw_socket(client, Role::Server, Some(config));
    let mut said = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => said.push(Said::Text(text.to_string())),
            Ok(Message::Binary(bytes)) => said.push(Said::Binary(bytes.to_vec())),
            Ok(Message::Ping(bytes)) => said.push(Said::Ping(bytes.to_vec())),
            Ok(Message::Pong(bytes)) => said.push(Said::Pong(bytes.to_vec())),
            // It reports a code that 7.4 forbids as a close of its own making. A client that says just this is
            // taken for one too, which no script does.
            Ok(Message::Close(Some(close)))
                if close.code == CloseCode::Protocol && close.reason == "Protocol violation" =>
            {
                return (said, true);
            }
            Ok(Message::Close(close)) => {
                let code = close.as_ref().map(|close| close.code.into());
                said.push(Said::Close(code, close.map(|close| close.reason.to_string()).unwrap_or_default()));
                return (said, false);
            }
            Ok(Message::Frame(_)) => {}
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (said, false);
            }
            Err(_) => return (said, true),
        }
    }
}

impl From<Event<'_>> for Said {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Event::Close(close) => Self::Close(close.code, close.reason.to_owned()),
        }
    }
}

/// A client who has said all and waits, and does not care for answers.
struct Client {
    stream: io::Cursor<Vec<u8>>,
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for Client {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
