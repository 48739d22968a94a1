//! Public keys out of PEM files (`-----BEGIN PUBLIC KEY-----`), one or several.
//!
//! It reads exactly the forms in which RSA, P-256, P-384 and Ed25519 keys are written (RFC 8410, RFC 5480, RFC 3279) and no
//! other ASN.1.

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

use crate::algorithm::{Algorithm, Kind};
use crate::key::{Key, Unfit};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const NULL: u8 = 0x05;
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The keys of a PEM file, for those of the algorithms that fit each.
///
/// # Errors
/// There is none, or one that cannot be used.
pub fn public_keys(allowed: &[Algorithm], text: &[u8]) -> Result<Vec<Key>, Unfit> {
    let mut keys = Vec::new();
    for found in SubjectPublicKeyInfoDer::pem_slice_iter(text) {
        let number = keys.len() + 1;
        let der = found.map_err(|error| format!("is no PEM file: {error}"))?;
        keys.push(public_key(allowed, &der).map_err(|told| format!("key {number} {told}"))?);
    }
    if keys.is_empty() {
        return Err("holds no public key (-----BEGIN PUBLIC KEY-----)".to_string());
    }
    Ok(keys)
}

fn public_key(allowed: &[Algorithm], der: &[u8]) -> Result<Key, Unfit> {
    let parts = parts(der).ok_or("is no key of a kind that is known here")?;
    match parts {
        Parts::Rsa { n, e } => Key::rsa(allowed, n, e),
        Parts::Point(kind, point) => Key::point(allowed, kind, point),
        Parts::Ed25519(key) => Key::ed25519(allowed, key),
    }
}

enum Parts<'a> {
    Rsa { n: &'a [u8], e: &'a [u8] },
    Point(Kind, &'a [u8]),
    Ed25519(&'a [u8]),
}

/// `SEQUENCE { SEQUENCE { OBJECT algorithm, parameters }, BIT STRING key }`
fn parts(der: &[u8]) -> Option<Parts<'_>> {
    let (info, rest) = take(SEQUENCE, der)?;
    let (algorithm, info) = take(SEQUENCE, info)?;
    let (bits, after) = take(BIT_STRING, info)?;
    let (object, parameters) = take(OBJECT, algorithm)?;
    // The first byte counts bits that are not used, and keys are whole bytes.
    let key = bits.strip_prefix(&[0])?;
    if !rest.is_empty() || !after.is_empty() {
        return None;
    }
    match object {
        RSA => {
            let is_null =
                take(NULL, parameters).is_some_and(|(null, rest)| null.is_empty() && rest.is_empty());
            let (numbers, rest) = take(SEQUENCE, key)?;
            let (n, numbers) = take(INTEGER, numbers)?;
            let (e, numbers) = take(INTEGER, numbers)?;
            (is_null && rest.is_empty() && numbers.is_empty()).then_some(Parts::Rsa { n, e })
        }
        EC => match take(OBJECT, parameters)? {
            (P256, []) => Some(Parts::Point(Kind::P256, key)),
            (P384, []) => Some(Parts::Point(Kind::P384, key)),
            _ => None,
        },
        ED25519 => parameters.is_empty().then_some(Parts::Ed25519(key)),
        _ => None,
    }
}

/// The content of the next value, which must have this tag, and what stands behind it. Lengths are written in the shortest
/// way, and never need more than two bytes here.
fn take(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der {
        [found, length @ 0..=0x7f, rest @ ..] if *found == tag => (usize::from(*length), rest),
        [found, 0x81, length @ 0x80..=0xff, rest @ ..] if *found == tag => (usize::from(*length), rest),
        [found, 0x82, high @ 1..=0xff, low, rest @ ..] if *found == tag => {
            (usize::from(u16::from_be_bytes([*high, *low])), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
#[path = "pem_tests.rs"]
mod tests;
