//! The product's own protocol over WebSocket, which the floor and `ws_hub.mjs` speak too.

use anyhow::{Result, bail};

use super::{Stage, Turn};
use crate::fleet::Hear;
use crate::{text, wire};

/// A masked frame.
pub(super) fn subscribe(channels: &[String]) -> Vec<u8> {
    let request = match channels {
        [one] => serde_json::json!({ "action": "subscribe", "channel": one }),
        many => serde_json::json!({ "action": "subscribe", "channels": many }),
    };
    wire::text(&request.to_string())
}

#[inline]
pub(super) fn hear<H: Hear>(bytes: &[u8], turn: &mut Turn<'_, H>) -> Result<usize> {
    let mut used = 0;
    if *turn.stage == Stage::Opening {
        let Some(end) = wire::upgrade_answer(bytes)? else { return Ok(0) };
        used = end;
        turn.subscribe();
    }
    while let Some((header, payload, whole)) = wire::frame(bytes.get(used..).unwrap_or_default())? {
        used += whole;
        if header.opcode != wire::TEXT {
            turn.control(header.opcode, payload)?;
        } else if *turn.stage == Stage::Ready || !is_confirmation(payload)? {
            turn.text(payload);
        } else {
            turn.confirm();
        }
    }
    Ok(used)
}

/// Tells a confirmation from everything else; an error in answer to a subscribe ends the run.
fn is_confirmation(payload: &[u8]) -> Result<bool> {
    let head = payload.get(..64).unwrap_or(payload);
    if text::find(head, br#""type":"error""#).is_some() {
        bail!("a subscription was refused: {}", text::excerpt(payload));
    }
    Ok(text::find(head, b"subscription_confirmed").is_some())
}
