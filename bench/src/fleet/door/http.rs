//! The little of HTTP that the clients behind it need: the head of an answer, its length, and chunks.

use anyhow::{Context, Result, bail};

use crate::text;

const OK: &[u8] = b"HTTP/1.1 200";

/// The first whole answer of `buf`: its body and its whole length. Only a 200 with a `Content-Length` is one.
#[inline]
pub(super) fn answer(buf: &[u8]) -> Result<Option<(&[u8], usize)>> {
    let Some(head) = head(buf)? else { return Ok(None) };
    let length = field(head, b"content-length:").and_then(|value| text::digits(value, 0));
    let length = length.with_context(|| format!("an answer without a length: {}", text::excerpt(buf)))?;
    let whole = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(head.len());
    Ok(buf.get(head.len()..whole).map(|body| (body, whole)))
}

/// The head of an answer with its empty line; anything but a 200 ends the run.
#[inline]
pub(super) fn head(buf: &[u8]) -> Result<Option<&[u8]>> {
    let Some(end) = text::find(buf, b"\r\n\r\n") else { return Ok(None) };
    if !buf.starts_with(OK) {
        bail!("not a 200: {}", text::excerpt(buf));
    }
    Ok(buf.get(..end + 4))
}

/// The value of a field of a head, whose name is given in lower case with its colon.
pub(super) fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = head.split(|&byte| byte == b'\n');
    let line =
        lines.find(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))?;
    line.get(name.len()..).map(<[u8]>::trim_ascii)
}

/// The first whole chunk of `buf`: its data and its whole length. The last chunk has no data.
pub(super) fn chunk(buf: &[u8]) -> Result<Option<(&[u8], usize)>> {
    let Some(end) = text::find(buf, b"\r\n") else { return Ok(None) };
    let line = buf.get(..end).unwrap_or_default();
    let size = std::str::from_utf8(line).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
    let size = size.with_context(|| format!("no chunk: {}", text::excerpt(buf)))?;
    let (from, to) = (end + 2, (end + 2).saturating_add(size));
    let Some(rest) = buf.get(to..to.saturating_add(2)) else { return Ok(None) };
    if rest != b"\r\n" {
        bail!("a chunk is longer than it says");
    }
    Ok(buf.get(from..to).map(|data| (data, to + 2)))
}
