//! Redis' protocol, version 2: the few replies that a subscriber and a publisher get.
//! The forms: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use anyhow::{Result, bail};

use super::{Stage, Turn};
use crate::fleet::Hear;
use crate::text;

/// Whoever answers this is there.
pub(super) const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// One command for all channels; each is confirmed on its own.
pub(super) fn subscribe(channels: &[String]) -> Vec<u8> {
    if channels.is_empty() {
        return Vec::new();
    }
    let mut command = format!("*{}\r\n$9\r\nSUBSCRIBE\r\n", channels.len() + 1);
    for channel in channels {
        command.push_str(&format!("${}\r\n{channel}\r\n", channel.len()));
    }
    command.into_bytes()
}

#[inline]
pub(super) fn hear<H: Hear>(bytes: &[u8], turn: &mut Turn<'_, H>) -> Result<usize> {
    let mut used = 0;
    while let Some(whole) = one(bytes.get(used..).unwrap_or_default(), turn)? {
        used += whole;
    }
    Ok(used)
}

/// Takes the first whole reply; answers its length.
#[inline]
fn one<H: Hear>(bytes: &[u8], turn: &mut Turn<'_, H>) -> Result<Option<usize>> {
    let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
    let Some(line) = line(rest) else { return Ok(None) };
    let mut at = 1 + line.len() + 2;
    match kind {
        b':' => turn.hear.on_answer(turn.client, turn.now_ns),
        b'+' if *turn.stage == Stage::Opening => turn.subscribe(),
        b'+' => {}
        b'-' => bail!("refused: {}", text::excerpt(line)),
        b'*' if line == b"3" => {
            let Some(what) = bulk(bytes, &mut at)? else { return Ok(None) };
            let Some(_channel) = bulk(bytes, &mut at)? else { return Ok(None) };
            if what == b"message" {
                let Some(data) = bulk(bytes, &mut at)? else { return Ok(None) };
                turn.text(data);
            } else if what == b"subscribe" {
                let Some(count) = bytes.get(at..).and_then(self::line) else { return Ok(None) };
                at += count.len() + 2;
                turn.confirm();
            } else {
                bail!("a reply that nothing asked for: {}", text::excerpt(bytes));
            }
        }
        _ => bail!("a reply that nothing asked for: {}", text::excerpt(bytes)),
    }
    Ok(Some(at))
}

/// Bytes up to the end of the line.
#[inline]
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|&byte| byte == b'\r')?;
    bytes.get(end + 1).filter(|&&byte| byte == b'\n')?;
    bytes.get(..end)
}

/// The bulk string at `at`, which moves behind it; `None` while bytes are missing.
#[inline]
fn bulk<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Option<&'a [u8]>> {
    let Some(head) = bytes.get(*at..).and_then(line) else { return Ok(None) };
    let length = head.strip_prefix(b"$").and_then(|digits| text::digits(digits, 0));
    let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else {
        bail!("no bulk string: {}", text::excerpt(head));
    };
    let from = *at + head.len() + 2;
    let to = from.saturating_add(length);
    if bytes.get(to..to.saturating_add(2)).is_none() {
        return Ok(None);
    }
    *at = to + 2;
    Ok(bytes.get(from..to))
}
