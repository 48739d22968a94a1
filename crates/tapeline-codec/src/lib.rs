//! How bytes are framed: pure codecs without I/O.
//!
//! Owns the rules of each wire format: what is a whole frame, what breaks the protocol, which bytes answer what.
//! Refuses to know sockets, clocks, tasks, or what a message means.

pub mod engineio;
pub mod resp;
pub mod socketio;
pub mod websocket;
