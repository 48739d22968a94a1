//! A token in its compact form, `header.payload.signature`: taken apart strictly, and believed only where a key signed it.
//!
//! Of the header it looks at `alg`, `kid`, `typ` and `crit`. Keys that a token brings along (`jwk`, `jku`, `x5u`, `x5c`) are
//! ignored: keys come from the configuration. It knows no claim.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use tapeline_core::rights::KeyMark;

use crate::algorithm::Algorithm;
use crate::invalid::{Invalid, Reason};
use crate::json;
use crate::key::KeySet;

/// The longest token, in bytes.
pub const TOKEN_LIMIT: usize = 8 * 1_024;
/// The longest name of a key, in bytes.
pub const KEY_ID_LIMIT: usize = 256;

/// What a token says of itself. Nothing of it is believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name of its algorithm.
    pub algorithm: String,
    /// The name of the key that signed it.
    pub key_id: Option<String>,
    /// What kind of token it is.
    pub kind: Option<String>,
}

/// A token that has been taken apart.
#[derive(Debug)]
pub struct Jws<'a> {
    /// What it says of itself.
    pub header: Header,
    /// Header and payload as they stand, which is what is signed.
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// It is too long, or no compact token.
    pub fn parse(token: &'a str) -> Result<Self, Invalid> {
        if token.len() > TOKEN_LIMIT {
            let told = format!("the token is {} bytes, the limit is {TOKEN_LIMIT}", token.len());
            return Err(Invalid::malformed(told));
        }
        let parts = token.rsplit_once('.').and_then(|(signed, signature)| {
            let (header, payload) = signed.split_once('.').filter(|(_, payload)| !payload.contains('.'))?;
            Some((header, payload, signed, signature))
        });
        let Some((header, payload, signed, signature)) = parts else {
            return Err(Invalid::malformed("a token has three parts with a dot between each"));
        };
        let header = decode("header", header)?;
        let header = json::object(&header).map_err(|told| Invalid::malformed(format!("header: {told}")))?;
        let signature = decode("signature", signature)?;
        Ok(Jws { header: Header::read(&header)?, signed, payload, signature })
    }

    /// The payload, if one of the keys signed it, and which.
    ///
    /// # Errors
    /// No key fits, or the one that fits did not sign it.
    pub fn verify(&self, keys: &KeySet) -> Result<(Vec<u8>, KeyMark), Invalid> {
        let Header { algorithm, key_id, .. } = &self.header;
        let algorithm: Algorithm = algorithm.parse().map_err(|_| {
            Invalid::new(Reason::Algorithm, format!("{algorithm:?} is no algorithm that is known here"))
        })?;
        let key = keys.verify(algorithm, key_id.as_deref(), self.signed.as_bytes(), &self.signature)?;
        Ok((self.payload()?, key))
    }

    /// The payload, whoever signed it: to be shown, never to be believed.
    ///
    /// # Errors
    /// It is no base64url.
    pub fn payload(&self) -> Result<Vec<u8>, Invalid> {
        decode("payload", self.payload)
    }
}

impl Header {
    fn read(header: &Map<String, Value>) -> Result<Self, Invalid> {
        if header.contains_key("crit") {
            return Err(Invalid::malformed("header: crit asks for an extension, and none is known here"));
        }
        let algorithm = text(header, "alg")?.ok_or_else(|| Invalid::malformed("header: there is no alg"))?;
        let key_id = text(header, "kid")?;
        if let Some(id) = key_id.as_ref().filter(|id| id.len() > KEY_ID_LIMIT) {
            let told = format!("header: kid is {} bytes, the limit is {KEY_ID_LIMIT}", id.len());
            return Err(Invalid::malformed(told));
        }
        Ok(Header { algorithm, key_id, kind: text(header, "typ")? })
    }
}

/// A member that must be text if it is there.
fn text(header: &Map<String, Value>, name: &str) -> Result<Option<String>, Invalid> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Invalid::malformed(format!("header: {name} is no text"))),
    }
}

/// Without padding, without bits left over, and without any other character (RFC 7515, 2).
fn decode(part: &str, text: &str) -> Result<Vec<u8>, Invalid> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Invalid::malformed(format!("{part}: it is no base64url")))
}
