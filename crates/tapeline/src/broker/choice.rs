//! Which message broker a program means: what its config says, else what the variables say. What contradicts itself within
//! one of them is an error that names both sides; what the config says stands over the variables.

use std::fmt::Write;

use super::config::{BrokerType, MessageBrokerConfig};
use crate::address::without_login;
use crate::error::Error;

type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Something that was said, and where.
struct Said<T> {
    by: String,
    value: T,
}

/// The URL to connect to.
pub(super) fn url(config: &MessageBrokerConfig, variable: Variable<'_>) -> Result<String, Error> {
    let redis = redis_in(config, variable)?;
    let kind =
        config.broker_type.map(|kind| Said { by: format!("broker_type {:?}", kind.name()), value: kind });
    if let Some(url) = &config.url {
        let url = Said { by: format!("url {}", without_login(url)), value: url.clone() };
        agree(&url, kind.as_ref())?;
        if let Some(other) = &redis {
            return Err(contradiction(&url.by, &other.by));
        }
        return Ok(url.value);
    }
    match (kind, redis) {
        (Some(kind), Some(redis)) if kind.value != BrokerType::Redis => {
            Err(contradiction(&kind.by, &redis.by))
        }
        (_, Some(redis)) => Ok(redis.value),
        (Some(kind), None) => of_kind(&kind, variable),
        (None, None) => by_variables(variable),
    }
}

/// What is said by `TAPELINE_URL`, else by `MESSAGE_BROKER_TYPE`, else memory.
fn by_variables(variable: Variable<'_>) -> Result<String, Error> {
    let kind = variable("MESSAGE_BROKER_TYPE").map(|text| {
        let by = format!("MESSAGE_BROKER_TYPE={text}");
        let value = text.parse().map_err(|told| Error::Invalid(format!("MESSAGE_BROKER_TYPE: {told}")))?;
        Ok::<_, Error>(Said { by, value })
    });
    let kind = kind.transpose()?;
    match (url_in(variable), kind) {
        (Some(url), kind) => {
            agree(&url, kind.as_ref())?;
            if !BrokerType::Redis.is_at(&url.value) {
                return Ok(url.value);
            }
            if let Some(other) = variable("REDIS_URL").filter(|other| parts_of(other) != parts_of(&url.value))
            {
                return Err(contradiction(&url.by, &format!("REDIS_URL={}", without_login(&other))));
            }
            filled(url, variable)
        }
        (None, Some(kind)) => of_kind(&kind, variable),
        (None, None) => Ok(memory()),
    }
}

/// Where one of this kind is: a type alone does not say it.
fn of_kind(kind: &Said<BrokerType>, variable: Variable<'_>) -> Result<String, Error> {
    match kind.value {
        BrokerType::Memory => Ok(memory()),
        BrokerType::Redis => redis_by_variables(variable),
        BrokerType::Hub => {
            let url = url_in(variable).ok_or_else(|| {
                Error::Invalid(format!("{} needs TAPELINE_URL, such as ws://127.0.0.1:8000", kind.by))
            })?;
            agree(&url, Some(kind))?;
            Ok(url.value)
        }
    }
}

fn memory() -> String {
    "memory://".to_string()
}

fn url_in(variable: Variable<'_>) -> Option<Said<String>> {
    let url = variable("TAPELINE_URL")?;
    Some(Said { by: format!("TAPELINE_URL={}", without_login(&url)), value: url })
}

fn agree(url: &Said<String>, kind: Option<&Said<BrokerType>>) -> Result<(), Error> {
    match kind {
        Some(kind) if !kind.value.is_at(&url.value) => Err(contradiction(&url.by, &kind.by)),
        _ => Ok(()),
    }
}

fn contradiction(one: &str, other: &str) -> Error {
    Error::Invalid(format!("{one} and {other} contradict each other; give one of them"))
}

/// What the config says of Redis itself, the rest of it from the variables.
fn redis_in(config: &MessageBrokerConfig, variable: Variable<'_>) -> Result<Option<Said<String>>, Error> {
    let MessageBrokerConfig { redis_host, redis_port, redis_db, redis_password, .. } = config;
    let given = [
        ("redis_host", redis_host.is_some()),
        ("redis_port", redis_port.is_some()),
        ("redis_db", redis_db.is_some()),
        ("redis_password", redis_password.is_some()),
    ];
    let Some((first, _)) = given.into_iter().find(|(_, is_given)| *is_given) else { return Ok(None) };
    let by_variables = variable("REDIS_URL").filter(|_| redis_host.is_none());
    if let Some(url) = by_variables {
        return Err(contradiction(first, &format!("REDIS_URL={}", without_login(&url))));
    }
    let redis = Redis::by(variable)?;
    let redis = Redis {
        host: redis_host.clone().or(redis.host),
        port: redis_port.or(redis.port),
        db: redis_db.or(redis.db),
        password: redis_password.clone().or(redis.password),
    };
    Ok(Some(Said { by: first.to_string(), value: redis.url() }))
}

/// Where Redis is, in parts.
struct Redis {
    host: Option<String>,
    port: Option<u16>,
    db: Option<u32>,
    password: Option<String>,
}

impl Redis {
    fn by(variable: Variable<'_>) -> Result<Self, Error> {
        let number = |name: &str| match variable(name) {
            None => Ok(None),
            Some(text) => {
                let wrong = |_| Error::Invalid(format!("{name}={text} is not a number"));
                text.parse::<u32>().map(Some).map_err(wrong)
            }
        };
        let (port, db) = (number("REDIS_PORT")?, number("REDIS_DB")?);
        let port = port.map(|port| {
            u16::try_from(port).map_err(|_| Error::Invalid(format!("REDIS_PORT={port} is not a port")))
        });
        let (host, password) = (variable("REDIS_HOST"), variable("REDIS_PASSWORD"));
        Ok(Redis { host, port: port.transpose()?, db, password })
    }

    fn url(&self) -> String {
        let Redis { host, port, db, password } = self;
        redis_url(host.as_deref(), *port, *db, password.as_deref())
    }
}

fn redis_by_variables(variable: Variable<'_>) -> Result<String, Error> {
    let Some(url) = variable("REDIS_URL") else { return Ok(Redis::by(variable)?.url()) };
    let by = format!("REDIS_URL={}", without_login(&url));
    if !BrokerType::Redis.is_at(&url) {
        return Err(Error::Invalid(format!("{by} must begin with redis:// or rediss://")));
    }
    filled(Said { by, value: url }, variable)
}

/// A Redis URL with the password that a variable says; what the variables say of the rest must be the same.
fn filled(url: Said<String>, variable: Variable<'_>) -> Result<String, Error> {
    let Said { by, value: url } = url;
    let redis = Redis::by(variable)?;
    let (own_host, own_port, own_db) = parts_of(&url);
    let others = [
        ("REDIS_HOST", redis.host.filter(|host| *host != own_host)),
        ("REDIS_PORT", redis.port.map(|port| port.to_string()).filter(|port| *port != own_port)),
        ("REDIS_DB", redis.db.map(|db| db.to_string()).filter(|db| *db != own_db)),
    ];
    if let Some((name, value)) = others.into_iter().find_map(|(name, value)| Some((name, value?))) {
        return Err(contradiction(&by, &format!("{name}={value}")));
    }
    let Some(password) = redis.password else { return Ok(url) };
    let Some((scheme, rest)) = url.split_once("://") else { return Ok(url) };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    match login.split_once(':') {
        Some((_, own)) if own != password && own != escaped(&password) => {
            Err(contradiction(&format!("the password of {by}"), "REDIS_PASSWORD"))
        }
        Some(_) => Ok(url),
        None => Ok(format!("{scheme}://{login}:{}@{place}{path}", escaped(&password))),
    }
}

/// Host, port and database of a Redis URL, with what is meant where it says nothing.
fn parts_of(url: &str) -> (String, String, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('?').next().unwrap_or_default();
    let (authority, db) = rest.split_once('/').unwrap_or((rest, ""));
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let host_end = place.rfind(']').map_or(0, |at| at + 1);
    let colon = place.get(host_end..).and_then(|tail| tail.find(':')).map(|at| host_end + at);
    let (host, port) = colon.and_then(|at| place.split_at_checked(at)).unwrap_or((place, ":6379"));
    let db = if db.is_empty() { "0" } else { db };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host.to_string(), port.trim_start_matches(':').to_string(), db.to_string())
}

fn redis_url(host: Option<&str>, port: Option<u16>, db: Option<u32>, password: Option<&str>) -> String {
    let host = host.unwrap_or("localhost");
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let login = password.map(|password| format!(":{}@", escaped(password))).unwrap_or_default();
    format!("redis://{login}{host}:{}/{}", port.unwrap_or(6_379), db.unwrap_or(0))
}

/// A password as a part of a URL.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // A string can always be written.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
