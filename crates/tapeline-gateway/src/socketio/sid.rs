//! Names of sessions, from the operating system's randomness.

use std::fmt::Write;

use rustix::rand::{GetRandomFlags, getrandom};

/// 128 bits: over polling whoever knows the name is the client.
const BYTES: usize = 16;
/// The name that a client is shown as its socket's; it opens nothing.
const SOCKET_BYTES: usize = 10;

fn hex<const N: usize>() -> Option<String> {
    let mut bytes = [0; N];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty()).ok()?;
    let mut text = String::with_capacity(2 * N);
    for byte in bytes {
        // Writing into a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    Some(text).filter(|_| filled == N)
}

/// A session's; none where the operating system has no randomness.
pub(super) fn session() -> Option<Box<str>> {
    hex::<BYTES>().map(Into::into)
}

/// A socket's.
pub(super) fn socket() -> String {
    hex::<SOCKET_BYTES>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_are_the_same() {
        let (one, other) = (session().unwrap(), session().unwrap());
        assert_ne!(one, other);
        assert_eq!((one.len(), socket().len()), (32, 20));
    }
}
