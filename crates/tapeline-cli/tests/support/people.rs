//! Who comes to a hub that asks: tokens, signed as their issuer would, and API keys, as `tapeline token key` makes them.
//! What they may is the tests' to say.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tapeline_auth::Algorithm;
use tapeline_auth::api_key::NewKey;
use tapeline_auth::mint::Signer;

/// What tokens are signed with.
pub(crate) const SECRET: &str = "kX9-the-secret-of-these-tests-Qv71-is-long-enough-for-every-algorithm";
/// What a forger signs with.
pub(crate) const OTHER_SECRET: &str = "pW3-the-secret-of-somebody-else-Lz20-is-as-long-as-it-has-to-be";

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// A token with these claims.
pub(crate) fn signed(secret: &str, claims: &Value) -> String {
    let signer = Signer::secret(Algorithm::Hs256, secret.as_bytes()).expect("HS256 takes a secret");
    signer.token(claims, None, "JWT").expect("the system has randomness")
}

/// The claims of a token that ends in so many seconds; it began two minutes ago.
pub(crate) fn claims(subject: &str, rights: &Value, ends_in_s: i64) -> Value {
    let end = now_s().checked_add_signed(ends_in_s).expect("it ends after 1970");
    json!({"sub": subject, "iat": now_s() - 120, "exp": end, "tapeline": rights})
}

/// A token for an hour.
pub(crate) fn token(subject: &str, rights: &Value) -> String {
    signed(SECRET, &claims(subject, rights, 3_600))
}

/// The header line that shows it.
pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// An API key.
pub(crate) struct Key {
    /// What its bearer brings.
    pub(crate) text: String,
    /// Its subject.
    pub(crate) subject: String,
    /// What the configuration says of it.
    pub(crate) toml: String,
}

/// A key with these lines of rights.
pub(crate) fn key(rights: &str) -> Key {
    let NewKey { text, id, hash } = NewKey::make().expect("the system has randomness");
    let toml = format!("[[auth.key]]\nid = \"{id}\"\nhash = \"{hash}\"\n{rights}\n");
    Key { text, subject: format!("key:{id}"), toml }
}

/// The part of a configuration that says whom to believe.
pub(crate) fn auth(settings: &str, keys: &[&Key]) -> String {
    let keys: String = keys.iter().map(|key| key.toml.as_str()).collect();
    format!("[auth]\n{settings}\n[auth.jwt]\nsecret = \"{SECRET}\"\n{keys}")
}
