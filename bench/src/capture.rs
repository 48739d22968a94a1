//! Captures the product's own encoding: publishes one message to it and keeps the delivered frame,
//! header included, for the floor to send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::template::{self, FIRST_N, Publish};
use crate::{text, wire};

/// The frame that a subscriber gets for a publish with `data_len` bytes of `data`.
pub(crate) fn delivered_frame(addr: SocketAddr, data_len: usize) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&wire::upgrade_request(wire::NATIVE_PATH, &addr.to_string(), false))?;
    let mut held = Vec::new();
    let end = loop {
        if let Some(end) = wire::upgrade_answer(&held)? {
            break end;
        }
        read_more(&mut stream, &mut held)?;
    };
    held.drain(..end);
    let subscribe = format!(r#"{{"action":"subscribe","channel":"{}"}}"#, template::channel(0));
    stream.write_all(&wire::text(&subscribe))?;
    next_with(&mut stream, &mut held, b"subscription_confirmed")?;
    let mut publish = Vec::new();
    Publish::new(data_len).put(&mut publish, 0, FIRST_N, clock_zero());
    stream.write_all(&publish)?;
    next_with(&mut stream, &mut held, br#"{"n":"#)
}

/// The fixed-width place is filled by the floor; any 16 digits will do.
fn clock_zero() -> u64 {
    1_000_000_000_000_000
}

fn next_with(stream: &mut TcpStream, held: &mut Vec<u8>, needle: &[u8]) -> Result<Vec<u8>> {
    loop {
        while let Some((_, payload, whole)) = wire::frame(held)? {
            let found = text::find(payload, needle).is_some();
            if text::find(payload, br#""type":"error""#).is_some() {
                bail!("the product refused: {}", text::excerpt(payload));
            }
            let frame: Vec<u8> = held.drain(..whole).collect();
            if found {
                return Ok(frame);
            }
        }
        read_more(stream, held)?;
    }
}

fn read_more(stream: &mut TcpStream, held: &mut Vec<u8>) -> Result<()> {
    let mut buf = [0; 65_536];
    let count = stream.read(&mut buf).context("no frame within 5 s")?;
    if count == 0 {
        bail!("the product closed the connection");
    }
    held.extend_from_slice(buf.get(..count).unwrap_or_default());
    Ok(())
}
