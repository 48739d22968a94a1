//! Whether a secret is one: long enough, not of a pattern, and not among those that everybody can read.
//!
//! A token signed with a secret can be tried offline against any number of guesses, so a passphrase is not enough.

use ring::digest;

/// The first eight bytes of the SHA-256 of each known secret that is long enough to be tried here, in their order.
/// Written by `cargo run -p tapeline-auth --example weak_secrets`.
const KNOWN: &[u8] = include_bytes!("known_secrets.bin");
/// Of each.
const PREFIX: usize = 8;
/// The shortest, in bytes: as long as the digest of HS256.
pub const SECRET_BYTES: usize = 32;
/// Different bytes that there must be; 32 random decimal digits practically always have them.
const DIFFERENT: usize = 8;

/// Whether a secret can be used; the error is the rest of a sentence that names it.
///
/// # Errors
/// What makes it weak.
pub fn check(secret: &[u8]) -> Result<(), String> {
    if secret.len() < SECRET_BYTES {
        return Err(format!(
            "is {} bytes, the least is {SECRET_BYTES}; make one: tapeline token secret",
            secret.len()
        ));
    }
    let weakness = if is_known(secret) {
        "is on a public list of secrets"
    } else if different(secret) < DIFFERENT {
        "has hardly any different characters"
    } else if repeats(secret) || counts(secret) {
        "follows a pattern"
    } else {
        return Ok(());
    };
    Err(format!("{weakness}; make one: tapeline token secret"))
}

/// What of a secret is in the list.
pub fn prefix(secret: &[u8]) -> [u8; PREFIX] {
    let digest = digest::digest(&digest::SHA256, secret);
    let mut prefix = [0; PREFIX];
    prefix.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    prefix
}

fn is_known(secret: &[u8]) -> bool {
    let (known, _) = KNOWN.as_chunks::<PREFIX>();
    known.binary_search(&prefix(secret)).is_ok()
}

fn different(secret: &[u8]) -> usize {
    let mut bytes = secret.to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len()
}

/// Whether it is a shorter text again and again.
fn repeats(secret: &[u8]) -> bool {
    let again = |period| secret.iter().zip(secret.iter().skip(period)).all(|(one, next)| one == next);
    (1..=secret.len() / 2).any(again)
}

/// Whether each byte is as far from the one before.
fn counts(secret: &[u8]) -> bool {
    let mut steps = secret.iter().zip(secret.iter().skip(1)).map(|(one, next)| next.wrapping_sub(*one));
    let first = steps.next();
    steps.all(|step| Some(step) == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_without_chance_in_it_is_refused() {
        let cases: [(&[u8], &str); 6] = [
            (b"", "is 0 bytes, the least is 32"),
            (b"0123456789abcdef0123456789abcde", "is 31 bytes"),
            (&[b'a'; 64], "hardly any different"),
            (&b"correct horse battery ".repeat(3), "follows a pattern"),
            (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`", "follows a pattern"),
            (b"#RwwwWXXUu!pPMG^AtWhDbXh?2qXum@CGqaAF8QaYfnqMyh+r#_Eu!RQ&zftFucDf5BH#7%!&bVfQAVJxP3b-?tEvdmHBNxK!LgjW!ekeG9AP^=gcM", "on a public list"),
        ];
        for (secret, expected) in cases {
            let told = check(secret).unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn a_random_secret_is_taken() {
        for secret in [
            "7ZdQ1nVvT0x8oK3sWq5LrJmBcHyEfGuA",
            "8b1f4c0de2a97735f6480c1ab93d5e27",
            "83417056923178460592837465019283",
        ] {
            assert_eq!(check(secret.as_bytes()), Ok(()));
        }
    }
}
