//! The server's side of a WebSocket (RFC 6455): opening handshake, frames in, frames out.
//!
//! Owns the protocol's rules and the state one connection needs between two reads.
//! Refuses to know sockets, HTTP libraries, timers, and the JSON inside the messages.
//!
//! | file | what |
//! |---|---|
//! | `handshake` | may this HTTP request become a WebSocket, and what answers it |
//! | `decoder` | bytes from a client to whole messages, without a copy where a frame arrived whole |
//! | `events` | the [`Event`]s of one read, one after the other |
//! | `frame` | one frame's header: opcode, length, mask, and the rules a header alone can break |
//! | `mask` | the rotating XOR |
//! | `utf8` | text that may stop in the middle of a character |
//! | `error` | how a client broke the protocol, and the close code that answers it |
//! | `encoder` | frames to a client |
//! | `deflate` | a message's bytes to and from DEFLATE |
//! | `extensions` | which offer of permessage-deflate is accepted |
//! | `close` | close codes and the body of a close frame |

pub mod close;
mod decoder;
mod deflate;
pub mod encoder;
mod error;
mod events;
pub mod extensions;
mod frame;
pub mod handshake;
mod mask;
mod utf8;

pub use close::Close;
pub use decoder::{Decoder, Limits};
pub use encoder::HeaderBuf;
pub use error::ProtocolError;
pub use events::{Event, Events};
pub use extensions::Agreement;
pub use frame::Opcode;
pub use handshake::{Accept, HandshakeError};
