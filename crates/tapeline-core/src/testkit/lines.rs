//! A byte format for tests that read what a client was sent: a line each, ended by a semicolon, and a socket that takes
//! all of it.

use std::io::IoSlice;

use bytes::Bytes;
use tapeline_schema::CloseCode;

use crate::message::{Message, Wire};
use crate::reply::Reply;
use crate::shard::{Pipes, Written};

/// See the module. What a test has not asked about yet, as answers to publishes, is no line.
#[derive(Debug)]
pub struct Lines;

/// The one that sessions are given.
pub static LINES: Lines = Lines;

impl Wire for Lines {
    fn slot(&self) -> usize {
        0
    }

    fn message(&self, message: &Message) -> Box<[u8]> {
        format!("{} {};", message.channel.name(), message.offset).into_bytes().into()
    }

    fn reply(&self, reply: &Reply) -> Bytes {
        let line = match reply {
            Reply::Confirmed(confirmed) => format!("hears {}", confirmed.topic.name()),
            Reply::Gap { from, to, reason, .. } => format!("gap {from} {to:?} {}", reason.name()),
            Reply::Degraded(degraded) => format!("degraded {degraded}"),
            Reply::Last { message, .. } => match message {
                Some(message) => format!("last {}", String::from_utf8_lossy(&message.data)),
                None => "last of nothing".to_string(),
            },
            Reply::History { messages, .. } => format!("history {}", messages.len()),
            Reply::Time { .. } => "pong".to_string(),
            Reply::TokenOk { .. } => "token_ok".to_string(),
            Reply::TokenExpiring { in_s } => format!("token_expiring {in_s}"),
            Reply::Error { refusal, about, .. } => {
                format!("{} {}", refusal.code, about.as_deref().unwrap_or("-"))
            }
            _ => return Bytes::new(),
        };
        Bytes::from(line + ";")
    }

    fn ping(&self) -> Bytes {
        Bytes::new()
    }

    fn close(&self, code: CloseCode, _reason: &str) -> Bytes {
        format!("closed {};", code.number()).into()
    }
}

/// What all sockets together have taken; they are never full.
#[derive(Debug, Default)]
pub struct OpenSocket(String);

impl OpenSocket {
    /// What was written since the last call.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

impl Pipes for OpenSocket {
    fn write(&mut self, _slot: u32, slices: &[IoSlice<'_>]) -> Written {
        slices.iter().for_each(|slice| self.0.push_str(&String::from_utf8_lossy(slice)));
        Written::Bytes(slices.iter().map(|slice| slice.len()).sum())
    }
}
