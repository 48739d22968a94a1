//! API keys, `tk_ID_SECRET`, for publishers and tools. Of a key only its SHA-256 is kept: the secret is 256 random bits, so a
//! fast digest is right.
//!
//! A key that is not known and one whose secret is another take the same way and get the same answer.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tapeline_core::network::{Network, NoNetwork};
use tapeline_core::rights::{KeyMark, Rights};

use crate::invalid::{Invalid, Reason};
use crate::rights;

/// What every key begins with.
pub const PREFIX: &str = "tk_";
/// Characters of an id.
const ID_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=64;
/// The longest key, in bytes.
const KEY_LIMIT: usize = 256;

/// `[[auth.key]]` of the configuration.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// What stands between `tk_` and the secret.
    pub id: String,
    /// For people; several keys may have one, while one takes another's place.
    pub name: Option<String>,
    /// `sha256:` and the digest of the whole key in hexadecimal.
    pub hash: String,
    /// Patterns of what may be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// Patterns of where may be published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<String>,
    /// Patterns of what may be read in the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub store_read: Vec<String>,
    /// Patterns of what may be written in the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub store_write: Vec<String>,
    /// Values of channels' keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// Whether the hub's inside may be looked at.
    #[serde(default, skip_serializing_if = "is_false")]
    pub operator: bool,
    /// Whether the hub may be changed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub admin: bool,
    /// When it ends (RFC 3339).
    pub expires: Option<String>,
    /// Ranges of addresses that it may come from; from anywhere without.
    pub addresses: Option<Vec<String>>,
}

/// Which one it is, not what it is made of.
impl fmt::Debug for KeySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySettings").field("name", &self.name).finish_non_exhaustive()
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A key that is known.
#[derive(Clone, Debug)]
pub(crate) struct ApiKey {
    /// `key:ID`
    pub subject: Arc<str>,
    pub rights: Arc<Rights>,
    pub expires_us: Option<u64>,
    hash: [u8; 32],
    addresses: Option<Vec<Network>>,
}

impl ApiKey {
    /// Tells it from another key that once had its id.
    pub(crate) fn mark(&self) -> KeyMark {
        self.hash.first_chunk().copied().unwrap_or_default()
    }

    /// Whether it may come from there.
    pub(crate) fn may_come_from(&self, from: Option<IpAddr>) -> bool {
        let covers =
            |ranges: &Vec<Network>| from.is_some_and(|from| ranges.iter().any(|range| range.contains(from)));
        self.addresses.as_ref().is_none_or(covers)
    }
}

/// All that are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApiKeys {
    by_id: HashMap<Box<str>, ApiKey>,
}

/// What a key's subject begins with; no token may have such a one.
pub(crate) const SUBJECT: &str = "key:";

impl ApiKeys {
    /// Checks what the configuration says; the error names the key.
    pub(crate) fn read(settings: &[KeySettings], shared: &rights::Shared) -> Result<Self, String> {
        let mut by_id = HashMap::new();
        for (number, key) in settings.iter().enumerate() {
            let named = |told: String| format!("[[auth.key]] {} {told}", shown(key, number));
            let id = check_id(&key.id).map_err(named)?;
            let known = key.read(shared).map_err(named)?;
            if by_id.insert(id.into(), known).is_some() {
                return Err(named("has the id of another key".to_string()));
            }
        }
        Ok(ApiKeys { by_id })
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The key of this subject.
    pub(crate) fn of_subject(&self, subject: &str) -> Option<&ApiKey> {
        self.by_id.get(subject.strip_prefix(SUBJECT)?)
    }

    /// The key that this text is.
    pub(crate) fn judge(&self, text: &str, from: Option<IpAddr>, now_us: u64) -> Result<&ApiKey, Invalid> {
        let unknown = || Invalid::new(Reason::UnknownApiKey, "no key has this id and this secret");
        if text.len() > KEY_LIMIT {
            return Err(unknown());
        }
        let id = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).map(|(id, _)| id);
        let known = id.and_then(|id| self.by_id.get(id));
        // Who is not known is compared too, with what no key can be.
        let wanted = known.map_or([0; 32], |key| key.hash);
        let is_it: bool = digest_of(text).ct_eq(&wanted).into();
        let key = known.filter(|_| is_it).ok_or_else(unknown)?;
        if key.expires_us.is_some_and(|at| at <= now_us) {
            return Err(Invalid::new(Reason::Expired, format!("{} has ended (expires)", key.subject)));
        }
        if !key.may_come_from(from) {
            let told = format!("{} came from elsewhere (addresses)", key.subject);
            return Err(Invalid::new(Reason::WrongAddress, told));
        }
        Ok(key)
    }
}

impl KeySettings {
    /// Checks what is said of one key; the error names it.
    ///
    /// # Errors
    /// What cannot be.
    pub fn check(&self) -> Result<(), String> {
        ApiKeys::read(std::slice::from_ref(self), &rights::Shared::default()).map(drop)
    }

    fn read(&self, shared: &rights::Shared) -> Result<ApiKey, String> {
        let rights = Rights {
            read: rights::patterns("read", &self.read)?,
            publish: rights::patterns("publish", &self.publish)?,
            store_read: rights::patterns("store_read", &self.store_read)?,
            store_write: rights::patterns("store_write", &self.store_write)?,
            keys: rights::values(self.keys.clone())?,
            operator: self.operator,
            admin: self.admin,
        };
        let expires_us = self.expires.as_deref().map(moment).transpose()?;
        let one =
            |text: &String| text.parse().map_err(|error: NoNetwork| format!("addresses: {text:?}: {error}"));
        let parse = |ranges: &Vec<String>| ranges.iter().map(one).collect::<Result<Vec<_>, _>>();
        let addresses = self.addresses.as_ref().map(parse).transpose()?;
        Ok(ApiKey {
            subject: format!("{SUBJECT}{}", self.id).into(),
            rights: shared.of(rights),
            expires_us,
            hash: read_hash(&self.hash)?,
            addresses,
        })
    }
}

fn shown(key: &KeySettings, number: usize) -> String {
    match (&key.name, &*key.id) {
        (Some(name), _) => format!("{name:?}"),
        (None, id) if id.is_empty() || may_be_secret(id) => format!("number {}", number + 1),
        (None, id) => format!("{id:?}"),
    }
}

/// Whether somebody put the whole key where its id belongs; such is not repeated.
fn may_be_secret(id: &str) -> bool {
    id.starts_with(PREFIX) || id.len() > *ID_CHARACTERS.end()
}

fn check_id(id: &str) -> Result<&str, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if ID_CHARACTERS.contains(&id.len()) && id.chars().all(fits) {
        return Ok(id);
    }
    let (least, most) = (ID_CHARACTERS.start(), ID_CHARACTERS.end());
    let shown =
        if may_be_secret(id) { "something else as its id".to_string() } else { format!("the id {id:?}") };
    Err(format!("has {shown}; an id is {least} to {most} letters, digits and -"))
}

fn read_hash(text: &str) -> Result<[u8; 32], String> {
    let told =
        || "needs hash = \"sha256:\" and 64 hexadecimal digits; tapeline token key prints one".to_string();
    let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64).ok_or_else(told)?;
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'));
        *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(told)?;
    }
    Ok(hash)
}

fn moment(text: &str) -> Result<u64, String> {
    let moment: jiff::Timestamp = text
        .parse()
        .map_err(|_| format!("expires {text:?}, which is no time such as 2027-01-31T00:00:00Z"))?;
    Ok(u64::try_from(moment.as_microsecond()).unwrap_or(0))
}

fn digest_of(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    hash.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key that has just been made. Its text is shown once and kept nowhere.
#[derive(Clone)]
pub struct NewKey {
    /// What its bearer brings.
    pub text: String,
    /// What the configuration calls it.
    pub id: String,
    /// What the configuration keeps of it.
    pub hash: String,
}

impl NewKey {
    /// Makes one; none where the system has no randomness.
    pub fn make() -> Option<Self> {
        let random = SystemRandom::new();
        let (mut id, mut secret) = ([0; 6], [0; 32]);
        random.fill(&mut id).and_then(|()| random.fill(&mut secret)).ok()?;
        let id = hex(&id);
        let text = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
        let hash = format!("sha256:{}", hex(&digest_of(&text)));
        Some(NewKey { text, id, hash })
    }
}
