//! The top level of a JSON value, member by member, without looking inside: what a check at publish can afford.
//!
//! Owns where a member begins and ends. Refuses to judge whether the whole is JSON: whoever took the bytes in has parsed
//! them. Of bytes that are not JSON it says so or yields something; it never panics and never goes on for ever.

/// A member of an object, or an element of an array, whose key is then empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    /// As it is written between the quotes, escapes included.
    pub key: &'a [u8],
    /// The value's text.
    pub value: &'a [u8],
}

/// The members of an object or array, in order.
pub(super) struct Members<'a> {
    json: &'a [u8],
    at: usize,
    is_object: bool,
    is_first: bool,
}

/// The bytes are not JSON, here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoJson(pub usize);

impl<'a> Members<'a> {
    /// Of an object (`{`) or an array (`[`); `None` for everything else.
    pub(super) fn of(json: &'a [u8], open: u8) -> Option<Self> {
        let at = past_space(json, 0);
        let is_open = json.get(at) == Some(&open);
        is_open.then(|| Members { json, at: at + 1, is_object: open == b'{', is_first: true })
    }

    /// The next member, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Member<'a>>, NoJson> {
        let close = if self.is_object { b'}' } else { b']' };
        let mut at = past_space(self.json, self.at);
        match self.json.get(at) {
            Some(byte) if *byte == close => return Ok(None),
            Some(b',') if !self.is_first => at = past_space(self.json, at + 1),
            _ if self.is_first => {}
            _ => return Err(NoJson(at)),
        }
        self.is_first = false;
        let mut key: &[u8] = &[];
        if self.is_object {
            (key, at) = self.key(at)?;
        }
        let end = end_of_value(self.json, at).filter(|end| *end > at).ok_or(NoJson(at))?;
        self.at = end;
        Ok(Some(Member { key, value: self.json.get(at..end).ok_or(NoJson(at))? }))
    }

    /// The key that begins here, and where its value begins.
    fn key(&self, at: usize) -> Result<(&'a [u8], usize), NoJson> {
        let bad = NoJson(at);
        if self.json.get(at) != Some(&b'"') {
            return Err(bad);
        }
        let end = end_of_string(self.json, at + 1).ok_or(bad)?;
        let key = self.json.get(at + 1..end - 1).ok_or(bad)?;
        let colon = past_space(self.json, end);
        if self.json.get(colon) != Some(&b':') {
            return Err(NoJson(colon));
        }
        Ok((key, past_space(self.json, colon + 1)))
    }
}

fn past_space(json: &[u8], mut at: usize) -> usize {
    while matches!(json.get(at), Some(b' ' | b'\n' | b'\t' | b'\r')) {
        at += 1;
    }
    at
}

/// Past the closing quote of a string whose text begins here.
fn end_of_string(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn end_of_value(json: &[u8], mut at: usize) -> Option<usize> {
    match *json.get(at)? {
        b'"' => end_of_string(json, at + 1),
        b'{' | b'[' => {
            let mut depth = 0_usize;
            loop {
                match *json.get(at)? {
                    b'"' => {
                        at = end_of_string(json, at + 1)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' if depth == 1 => return Some(at + 1),
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
            }
        }
        _ => {
            while !matches!(*json.get(at)?, b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r') {
                at += 1;
            }
            Some(at)
        }
    }
}
