//! Sets of public keys as issuers publish them (JWK Set, RFC 7517).
//!
//! Keys that are not for signatures, of kinds or algorithms that are not taken, or broken, are passed over: a set serves many
//! readers. Secrets in a set are passed over too: a set is public.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::algorithm::{Algorithm, Kind};
use crate::jws::KEY_ID_LIMIT;
use crate::key::{Key, Unfit};

/// The largest set, in bytes.
pub const SET_BYTES: usize = 256 * 1_024;
/// Keys of a set that are looked at.
const SET_KEYS: usize = 128;

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a set, and of each that was passed over why.
#[derive(Debug, Default)]
pub struct Taken {
    /// Those that can be used.
    pub keys: Vec<Key>,
    /// The others.
    pub passed_over: Vec<String>,
}

/// Reads a set.
///
/// # Errors
/// It is none, or too large. A set without a key that can be used is one all the same.
pub fn read(allowed: &[Algorithm], bytes: &[u8]) -> Result<Taken, Unfit> {
    if bytes.len() > SET_BYTES {
        return Err(format!("is {} bytes, the limit is {SET_BYTES}", bytes.len()));
    }
    let set: Set = serde_json::from_slice(bytes).map_err(|error| format!("is no set of keys: {error}"))?;
    let mut taken = Taken::default();
    for (number, jwk) in set.keys.into_iter().enumerate().take(SET_KEYS) {
        let jwk: Result<Jwk, _> = serde_json::from_value(jwk);
        match jwk.map_err(|error| format!("is no key: {error}")).and_then(|jwk| jwk.key(allowed)) {
            Ok(key) => taken.keys.push(key),
            Err(told) => taken.passed_over.push(format!("key {} {told}", number + 1)),
        }
    }
    Ok(taken)
}

impl Jwk {
    fn key(&self, allowed: &[Algorithm]) -> Result<Key, Unfit> {
        if self.purpose.as_ref().is_some_and(|purpose| purpose != "sig") {
            return Err("is not for signatures (use)".to_string());
        }
        if self.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
            return Err("is not for verifying (key_ops)".to_string());
        }
        let bound: Vec<Algorithm> = match &self.alg {
            None => allowed.to_vec(),
            Some(name) => allowed.iter().copied().filter(|algorithm| algorithm.name() == name).collect(),
        };
        if bound.is_empty() {
            let name = self.alg.as_deref().unwrap_or_default();
            return Err(format!("is for {name:?}, which is not taken here"));
        }
        let key = match (&*self.kty, self.crv.as_deref()) {
            ("RSA", None) => Key::rsa(&bound, &number("n", &self.n)?, &number("e", &self.e)?),
            ("EC", Some("P-256")) => self.point(&bound, Kind::P256, 32),
            ("EC", Some("P-384")) => self.point(&bound, Kind::P384, 48),
            ("OKP", Some("Ed25519")) => Key::ed25519(&bound, &number("x", &self.x)?),
            (kind, curve) => {
                Err(format!("is of kind {kind:?} {:?}, which is not taken", curve.unwrap_or("")))
            }
        }?;
        match &self.kid {
            None => Ok(key),
            Some(id) if id.len() <= KEY_ID_LIMIT => Ok(key.named(id)),
            Some(id) => Err(format!("has a kid of {} bytes, the limit is {KEY_ID_LIMIT}", id.len())),
        }
    }

    fn point(&self, bound: &[Algorithm], kind: Kind, bytes: usize) -> Result<Key, Unfit> {
        let (x, y) = (number("x", &self.x)?, number("y", &self.y)?);
        if x.len() != bytes || y.len() != bytes {
            return Err(format!("has x and y of {} and {} bytes, each must have {bytes}", x.len(), y.len()));
        }
        Key::point(bound, kind, &[&[4], &*x, &*y].concat())
    }
}

fn number(name: &str, text: &Option<String>) -> Result<Vec<u8>, Unfit> {
    let text = text.as_ref().ok_or_else(|| format!("lacks {name}"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("has no base64url in {name}"))
}
