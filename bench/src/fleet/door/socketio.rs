//! Socket.IO 5 over Engine.IO 4: what a client says and which packets it understands, and its WebSocket transport.
//! Facts: <https://socket.io/docs/v4/engine-io-protocol/> and <https://socket.io/docs/v4/socket-io-protocol/>.

use anyhow::{Result, bail};

use super::{Stage, Turn};
use crate::fleet::Hear;
use crate::{text, wire};

pub(super) const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

/// Engine.IO's packet for a living client.
pub(super) const PONG: &str = "3";
/// Socket.IO's way into the main namespace.
pub(super) const CONNECT: &str = "40";

/// One packet a channel, each to be acknowledged under its own number.
pub(super) fn subscribe(channels: &[String]) -> impl Iterator<Item = String> {
    channels
        .iter()
        .enumerate()
        .map(|(ack, channel)| format!("42{ack}{}", serde_json::json!(["subscribe", channel])))
}

/// What a packet asks of the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asks {
    Nothing,
    Connect,
    Subscribe,
    Pong,
}

/// Takes one packet.
#[inline]
pub(super) fn take<H: Hear>(packet: &[u8], turn: &mut Turn<'_, H>) -> Result<Asks> {
    match packet {
        [b'4', b'2', ..] => turn.text(packet),
        [b'4', b'3', ..] => {
            let head = packet.get(..160).unwrap_or(packet);
            if text::find(head, br#""type":"error""#).is_some() {
                bail!("refused: {}", text::excerpt(packet));
            }
            turn.confirm();
        }
        [b'4', b'0', ..] if *turn.stage == Stage::Greeting => return Ok(Asks::Subscribe),
        [b'0', ..] if *turn.stage == Stage::Greeting => return Ok(Asks::Connect),
        [b'2', ..] => return Ok(Asks::Pong),
        [b'6', ..] => {}
        _ => bail!("a packet that nothing asked for: {}", text::excerpt(packet)),
    }
    Ok(Asks::Nothing)
}

/// Takes the frames of the WebSocket transport.
#[inline]
pub(super) fn hear<H: Hear>(bytes: &[u8], turn: &mut Turn<'_, H>) -> Result<usize> {
    let mut used = 0;
    if *turn.stage == Stage::Opening {
        let Some(end) = wire::upgrade_answer(bytes)? else { return Ok(0) };
        used = end;
        *turn.stage = Stage::Greeting;
    }
    while let Some((header, payload, whole)) = wire::frame(bytes.get(used..).unwrap_or_default())? {
        used += whole;
        if header.opcode != wire::TEXT {
            turn.control(header.opcode, payload)?;
            continue;
        }
        match take(payload, turn)? {
            Asks::Nothing => {}
            Asks::Connect => wire::put_masked(&mut turn.say, wire::TEXT, CONNECT.as_bytes()),
            Asks::Subscribe => turn.subscribe(),
            Asks::Pong => wire::put_masked(&mut turn.say, wire::TEXT, PONG.as_bytes()),
        }
    }
    Ok(used)
}
