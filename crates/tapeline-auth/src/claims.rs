//! What a token says once its signature is believed: whose it is, from when to when, by whom and for whom, and what it may.
//!
//! The rules come from the configuration. A claim that a rule asks for must be there; what no rule and no right knows is
//! ignored. Times are microseconds since 1970.

use serde_json::{Map, Value};
use tapeline_core::rights::{KeyMark, Rights};

use crate::invalid::{Invalid, Reason};
use crate::jws::{Header, Jws};
use crate::key::KeySet;
use crate::{api_key, json, rights};

/// The longest subject, in bytes.
const SUBJECT_LIMIT: usize = 256;
/// The longest id of a token, in bytes.
const TOKEN_ID_LIMIT: usize = 256;
/// The last second that counts: far beyond any token, and countable in microseconds.
const LAST_SECOND: f64 = 1e11;
const SECOND_US: u64 = 1_000_000;

/// What a token must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `iss`, exactly; empty for any.
    pub issuer: String,
    /// One of these must be in `aud`; nothing is asked for where there is none.
    pub audience: Vec<String>,
    /// `typ` of the header, such as `at+jwt`; empty for any.
    pub kind: String,
    /// Seconds that clocks may differ.
    pub leeway_s: u64,
    /// Seconds from `iat` (else from now) to `exp`; 0 for any.
    pub max_lifetime_s: u64,
}

impl Rules {
    pub(crate) fn leeway_us(&self) -> u64 {
        self.leeway_s.saturating_mul(SECOND_US)
    }
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            issuer: String::new(),
            audience: Vec::new(),
            kind: String::new(),
            leeway_s: 30,
            max_lifetime_s: 24 * 60 * 60,
        }
    }
}

/// What is taken from a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `sub`
    pub subject: String,
    /// `exp`
    pub until_us: u64,
    /// `iat`
    pub issued_us: Option<u64>,
    /// `jti`
    pub token_id: Option<String>,
    /// The claim `tapeline`.
    pub rights: Rights,
}

impl Claims {
    /// Judges a token: its form, its signature, its claims.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn of_token(token: &str, keys: &KeySet, rules: &Rules, now_us: u64) -> Result<Self, Invalid> {
        Self::shown(token, keys, rules, now_us).map(|(claims, _)| claims)
    }

    /// The same, with the key that signed it.
    pub(crate) fn shown(
        token: &str,
        keys: &KeySet,
        rules: &Rules,
        now_us: u64,
    ) -> Result<(Self, KeyMark), Invalid> {
        let jws = Jws::parse(token)?;
        let (payload, key) = jws.verify(keys)?;
        Ok((Self::judge(&jws.header, &payload, rules, now_us)?, key))
    }

    /// Judges a payload whose signature is right.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn judge(header: &Header, payload: &[u8], rules: &Rules, now_us: u64) -> Result<Self, Invalid> {
        rules.check_kind(header)?;
        let claims = json::object(payload).map_err(|told| Invalid::malformed(format!("claims: {told}")))?;
        let (until_us, issued_us) = rules.check_times(&claims, now_us)?;
        rules.check_issuer(&claims)?;
        rules.check_audience(&claims)?;
        let subject = text(&claims, "sub", SUBJECT_LIMIT)?.ok_or_else(|| missing("sub"))?;
        if subject.starts_with(api_key::SUBJECT) {
            return Err(Invalid::malformed("claims: sub is a name that no token may have"));
        }
        let token_id = text(&claims, "jti", TOKEN_ID_LIMIT)?;
        let rights = claims.get("tapeline").map_or_else(|| Ok(Rights::default()), rights::read);
        let rights = rights.map_err(|told| Invalid::new(Reason::BadRights, told))?;
        Ok(Claims {
            subject: subject.to_string(),
            until_us,
            issued_us,
            token_id: token_id.map(str::to_string),
            rights,
        })
    }
}

impl Rules {
    fn check_kind(&self, header: &Header) -> Result<(), Invalid> {
        let wanted = &self.kind;
        if wanted.is_empty() {
            return Ok(());
        }
        // A media type: without regard to case, and the prefix may be left away (RFC 7515, 4.1.9).
        let plain = |kind: &str| {
            let kind = kind.to_ascii_lowercase();
            kind.strip_prefix("application/").map_or(kind.clone(), str::to_string)
        };
        match &header.kind {
            Some(kind) if plain(kind) == plain(wanted) => Ok(()),
            Some(kind) => {
                Err(Invalid::new(Reason::WrongType, format!("typ is {kind:?}, it must be {wanted:?}")))
            }
            None => Err(Invalid::new(Reason::WrongType, format!("there is no typ, it must be {wanted:?}"))),
        }
    }

    /// End and, where it is said, begin.
    fn check_times(&self, claims: &Map<String, Value>, now_us: u64) -> Result<(u64, Option<u64>), Invalid> {
        let until_us = time(claims, "exp")?.ok_or_else(|| missing("exp"))?;
        let issued_us = time(claims, "iat")?;
        let leeway_us = self.leeway_s.saturating_mul(SECOND_US);
        let seconds = |us: u64| us / SECOND_US;
        if now_us >= until_us.saturating_add(leeway_us) {
            let ago = seconds(now_us - until_us);
            return Err(Invalid::new(Reason::Expired, format!("it ended {ago} s ago (exp)")));
        }
        for (name, from_us) in [("nbf", time(claims, "nbf")?), ("iat", issued_us)] {
            let early = from_us.map_or(0, |from| from.saturating_sub(now_us.saturating_add(leeway_us)));
            if early > 0 {
                let told = format!("it begins in {} s ({name})", seconds(early + leeway_us));
                return Err(Invalid::new(Reason::NotYetValid, told));
            }
        }
        let lives_s = seconds(until_us.saturating_sub(issued_us.unwrap_or(now_us)));
        if self.max_lifetime_s > 0 && lives_s > self.max_lifetime_s {
            let told = format!(
                "it lives {lives_s} s, the limit is {} (auth.jwt.max_lifetime_s)",
                self.max_lifetime_s
            );
            return Err(Invalid::new(Reason::LivesTooLong, told));
        }
        Ok((until_us, issued_us))
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), Invalid> {
        let wanted = &self.issuer;
        if wanted.is_empty() {
            return Ok(());
        }
        match claims.get("iss") {
            Some(Value::String(issuer)) if issuer == wanted => Ok(()),
            Some(found) => {
                Err(Invalid::new(Reason::WrongIssuer, format!("iss is {found}, it must be {wanted:?}")))
            }
            None => Err(missing("iss")),
        }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Invalid> {
        if self.audience.is_empty() {
            return Ok(());
        }
        let is_ours =
            |found: &Value| found.as_str().is_some_and(|text| self.audience.iter().any(|us| us == text));
        let holds = match claims.get("aud") {
            None => return Err(missing("aud")),
            Some(Value::Array(all)) => all.iter().all(Value::is_string) && all.iter().any(is_ours),
            Some(one) => is_ours(one),
        };
        if holds {
            return Ok(());
        }
        let told = format!("aud does not name any of {:?}", self.audience);
        Err(Invalid::new(Reason::WrongAudience, told))
    }
}

fn missing(name: &str) -> Invalid {
    Invalid::new(Reason::MissingClaim, format!("there is no {name}"))
}

/// A claim that is text of a fair length without control characters, if it is there.
fn text<'a>(claims: &'a Map<String, Value>, name: &str, limit: usize) -> Result<Option<&'a str>, Invalid> {
    let told = match claims.get(name) {
        None => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => format!("{name} is empty"),
        Some(Value::String(text)) if text.len() > limit => {
            format!("{name} is {} bytes, the limit is {limit}", text.len())
        }
        Some(Value::String(text)) if text.contains(char::is_control) => {
            format!("{name} has a control character")
        }
        Some(Value::String(text)) => return Ok(Some(text)),
        Some(_) => format!("{name} is no text"),
    };
    Err(Invalid::malformed(format!("claims: {told}")))
}

/// A moment that is given in seconds, with or without a fraction.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Invalid> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..=LAST_SECOND).contains(seconds));
    let Some(seconds) = seconds else {
        return Err(Invalid::malformed(format!("claims: {name} is no time in seconds")));
    };
    let us = std::time::Duration::from_secs_f64(seconds).as_micros();
    Ok(Some(u64::try_from(us).unwrap_or(u64::MAX)))
}
