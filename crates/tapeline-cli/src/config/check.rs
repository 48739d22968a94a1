//! What a value must be beside its kind, a function each; a row of `table` names the one that holds for it. The error
//! is the rest of a sentence that names the setting.

use std::collections::BTreeMap;
use std::time::Duration;

use tapeline_auth::Algorithm;
use tapeline_gateway::socketio::is_reserved;
use tapeline_schema::{Pattern, check_name, is_reserved_type};

pub(super) use super::feed::{
    channels as feed_channels, depth as feed_depth, intervals as feed_intervals, levels as feed_levels,
    names as feed_names, symbols as feed_symbols,
};
use super::value::Value;

/// The least time that can be told from none.
const MOMENT: Duration = Duration::from_millis(1);
/// Lengths within one message are counted with 32 bits, some of them doubled.
const MESSAGE_BYTES: usize = 1 << 30;
/// Clocks that differ more are wrong.
const LEEWAY_S: u64 = 300;
/// Far more threads than a machine has cores.
const SHARDS: usize = 1_024;

/// A value of which none at all has no meaning.
pub(super) trait Amount: Value {
    /// What is the least, if this is less.
    fn lacks(&self) -> Option<&'static str>;
}

macro_rules! whole_amounts {
    ($($kind:ty)*) => {$(
        impl Amount for $kind {
            fn lacks(&self) -> Option<&'static str> {
                (*self == 0).then_some("1")
            }
        }
    )*};
}

whole_amounts!(usize u32);

impl Amount for Duration {
    fn lacks(&self) -> Option<&'static str> {
        (*self < MOMENT).then_some("0.001 seconds")
    }
}

impl<T: Amount> Amount for Option<T> {
    fn lacks(&self) -> Option<&'static str> {
        self.as_ref().and_then(T::lacks)
    }
}

/// Whatever can be written.
#[expect(clippy::unnecessary_wraps, reason = "it is one of many")]
pub(super) fn any<T>(_: &T) -> Result<(), String> {
    Ok(())
}

/// Names of channels.
pub(super) fn channels(names: &[String]) -> Result<(), String> {
    names.iter().try_for_each(|name| check_name(name).map_err(|error| format!("{name:?}: {error}")))
}

/// Events that clients take, by channel or family.
pub(super) fn events(events: &BTreeMap<String, String>) -> Result<(), String> {
    for (of, event) in events {
        check_name(of).map_err(|error| format!("{of:?}: {error}"))?;
        if event.is_empty() {
            return Err(format!("the event of {of:?} has no name"));
        }
        if is_reserved(event) {
            return Err(format!("{event:?} is a name that Socket.IO clients use themselves"));
        }
        if is_reserved_type(event) {
            return Err(format!("{event:?} is a name under which the hub speaks itself"));
        }
    }
    Ok(())
}

/// More than nothing.
pub(super) fn some<T: Amount>(value: &T) -> Result<(), String> {
    value.lacks().map_or(Ok(()), |least| Err(format!("expected at least {least}, found {}", value.show())))
}

/// What one message may be.
pub(super) fn message_bytes(value: &usize) -> Result<(), String> {
    within(*value, MESSAGE_BYTES)
}

/// Threads, if they are given.
pub(super) fn shards(value: &Option<usize>) -> Result<(), String> {
    value.map_or(Ok(()), |value| within(value, SHARDS))
}

fn within(value: usize, most: usize) -> Result<(), String> {
    let fits = (1..=most).contains(&value);
    if fits { Ok(()) } else { Err(format!("expected 1 to {most}, found {value}")) }
}

/// A message broker that there is.
pub(super) fn broker(value: &str) -> Result<(), String> {
    tapeline_brokers::check(value).map_err(|error| error.to_string())
}

/// Names and globs.
pub(super) fn patterns(value: &[String]) -> Result<(), String> {
    for text in value {
        Pattern::parse(text).map_err(|error| format!("{text:?}: {error}"))?;
    }
    Ok(())
}

/// What clocks may fairly differ.
pub(super) fn leeway(value: &u64) -> Result<(), String> {
    let fits = *value <= LEEWAY_S;
    if fits { Ok(()) } else { Err(format!("expected 0 to {LEEWAY_S}, found {value}")) }
}

/// Some way to sign.
pub(super) fn algorithms(value: &[Algorithm]) -> Result<(), String> {
    if value.is_empty() { Err("expected at least one algorithm, found none".to_string()) } else { Ok(()) }
}

/// A secret that cannot be guessed, if there is one.
pub(super) fn jwt_secret(value: &str) -> Result<(), String> {
    if value.is_empty() { Ok(()) } else { tapeline_auth::secret::check(value.as_bytes()) }
}

/// Where keys may come from, if they are fetched.
pub(super) fn keys_url(value: &str) -> Result<(), String> {
    if value.is_empty() { Ok(()) } else { tapeline_auth::settings::check_url(value) }
}

/// Origins as browsers send them, which they are compared with byte by byte.
pub(super) fn origins(value: &[String]) -> Result<(), String> {
    match value.iter().find(|text| !is_origin(text)) {
        Some(text) => Err(format!(
            "{text:?} is no origin, which is scheme://host or scheme://host:port in lower case, without a path, a \
             wildcard or the scheme's own port"
        )),
        None => Ok(()),
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let in_scheme = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    let in_authority =
        |c: char| c.is_ascii_graphic() && !c.is_ascii_uppercase() && !"/\\@?#*,\"'".contains(c);
    // Browsers leave it away.
    let has_own_port = match scheme {
        "http" => authority.ends_with(":80"),
        "https" => authority.ends_with(":443"),
        _ => false,
    };
    scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.chars().all(in_scheme)
        && !authority.is_empty()
        && authority.chars().all(in_authority)
        && !has_own_port
}
