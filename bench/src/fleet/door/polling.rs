//! Socket.IO's polling transport on one keep-alive connection: a GET waits for packets; what is to be said goes out by a POST
//! before the next GET. Payloads are packets joined by 0x1e.

use std::fmt::Write;

use anyhow::{Context, Result, bail};

use super::socketio::{Asks, CONNECT, PONG, take};
use super::{Stage, Turn, http};
use crate::fleet::Hear;
use crate::text;

const PATH: &str = "/socket.io/?EIO=4&transport=polling";
const BETWEEN: u8 = 0x1e;

/// See the module.
#[derive(Default)]
pub(in crate::fleet) struct Polling {
    /// The server's address.
    host: String,
    /// The id that the handshake gave.
    sid: String,
    /// The request that waits for packets, as it is sent again and again.
    get: Vec<u8>,
    /// A POST is under way, and its answer brings no packets.
    posting: bool,
    /// Packets to be said with the next POST.
    unsaid: Vec<u8>,
}

impl Polling {
    pub(super) fn handshake(&mut self, host: &str) -> Vec<u8> {
        host.clone_into(&mut self.host);
        format!("GET {PATH} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
    }

    #[inline]
    pub(super) fn hear<H: Hear>(&mut self, bytes: &[u8], turn: &mut Turn<'_, H>) -> Result<usize> {
        let mut used = 0;
        while let Some((body, whole)) = http::answer(bytes.get(used..).unwrap_or_default())? {
            used += whole;
            if *turn.stage == Stage::Opening {
                self.open(body, turn)?;
            } else if self.posting {
                self.posting = false;
            } else {
                for packet in body.split(|&byte| byte == BETWEEN) {
                    self.take(packet, turn)?;
                }
            }
            self.ask(turn);
        }
        Ok(used)
    }

    fn open<H: Hear>(&mut self, body: &[u8], turn: &mut Turn<'_, H>) -> Result<()> {
        let Some(told) = body.strip_prefix(b"0") else { bail!("no handshake: {}", text::excerpt(body)) };
        let told: serde_json::Value = serde_json::from_slice(told).context("the handshake")?;
        let sid = told.get("sid").and_then(serde_json::Value::as_str).context("the handshake has no sid")?;
        self.sid = sid.to_owned();
        self.get = format!("GET {PATH}&sid={sid} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host).into_bytes();
        *turn.stage = Stage::Greeting;
        self.say(CONNECT.as_bytes());
        Ok(())
    }

    #[inline]
    fn take<H: Hear>(&mut self, packet: &[u8], turn: &mut Turn<'_, H>) -> Result<()> {
        match take(packet, turn)? {
            Asks::Nothing => {}
            Asks::Connect => bail!("a second handshake"),
            Asks::Subscribe => {
                self.say(&turn.plan.subscribe);
                turn.await_confirmations();
            }
            Asks::Pong => self.say(PONG.as_bytes()),
        }
        Ok(())
    }

    fn say(&mut self, packets: &[u8]) {
        if packets.is_empty() {
            return;
        }
        if !self.unsaid.is_empty() {
            self.unsaid.push(BETWEEN);
        }
        self.unsaid.extend_from_slice(packets);
    }

    /// Sends the next request: what is unsaid, else the wait for packets.
    fn ask<H: Hear>(&mut self, turn: &mut Turn<'_, H>) {
        if self.unsaid.is_empty() {
            turn.say.extend_from_slice(&self.get);
            return;
        }
        let mut head = format!("POST {PATH}&sid={} HTTP/1.1\r\nHost: {}\r\n", self.sid, self.host);
        let length = self.unsaid.len();
        // Writing to a string cannot fail.
        write!(head, "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {length}\r\n\r\n")
            .unwrap_or(());
        turn.say.extend_from_slice(head.as_bytes());
        turn.say.append(&mut self.unsaid);
        self.posting = true;
    }
}
