//! What a channel's offsets count under. Every message carries one, and another thread drops it: text that is copied
//! with the message costs less than a count that two threads fight over.

use std::fmt;
use std::ops::Deref;

use crate::text::cut;

/// The bytes of text that there is room for; one more says how many are used.
const ROOM: usize = 15;

/// The random string under which a channel counts; a new one voids old offsets. Of a longer text the first
/// 15 bytes are kept.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Epoch([u8; ROOM + 1]);

impl From<&str> for Epoch {
    fn from(from: &str) -> Self {
        let kept = cut(from, ROOM);
        let mut bytes = [0; ROOM + 1];
        for (to, byte) in bytes.iter_mut().zip(kept.bytes()) {
            *to = byte;
        }
        let [.., len] = &mut bytes;
        *len = u8::try_from(kept.len()).unwrap_or_default();
        Epoch(bytes)
    }
}

impl Deref for Epoch {
    type Target = str;

    fn deref(&self) -> &str {
        let [text @ .., len] = &self.0;
        text.get(..usize::from(*len)).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_keeps_whole_characters_of_as_much_text_as_it_has_room_for() {
        assert_eq!(&*Epoch::from("k3v9a2mq"), "k3v9a2mq");
        assert_eq!(&*Epoch::from("abcdefghijklmno"), "abcdefghijklmno");
        assert_eq!(&*Epoch::from("abcdefghijklmné"), "abcdefghijklmn");
        assert_eq!(Epoch::from(""), Epoch::default());
    }
}
