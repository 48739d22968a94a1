//! Small state over HTTP: `GET`, `PUT` and `DELETE /store/{*key}`, and `GET /store`, which lists. A value comes as the body
//! and leaves inside of an object with its version, which is its `ETag` too.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::Refusal;
use tapeline_core::channel::push_json_string;
use tapeline_core::clock::push_rfc3339;
use tapeline_core::incidents::IncidentKind;
use tapeline_core::message::push_number;
use tapeline_core::rights::OWN_KEYS;
use tapeline_core::store::{Entry, Expect, Key, Listing, Range, Write};
use tapeline_schema::ErrorCode;

use crate::app::App;
use crate::asking::stored;
use crate::bodies::body;
use crate::caller::Caller;
use crate::error::Failure;
use crate::extract::{Asking, Tail};
use crate::form;
use crate::http::{is_lines, json};

/// Entries of a listing that asks for no number.
const LIST_DEFAULT: usize = 100;
/// The longest time to live; more is no time but a mistake.
const TTL_LIMIT_S: f64 = 10.0 * 366.0 * 86_400.0;

/// How a change may be bound to what is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changing {
    ttl_s: Option<f64>,
    expect: Option<String>,
}

/// What may be asked of a listing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    prefix: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// What was expected, and whether a header said so: then a disappointment has a status of its own.
#[derive(Debug, PartialEq, Eq)]
struct Condition {
    expect: Expect,
    in_header: bool,
}

/// `GET /store/{*key}`.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Tail(path): Tail,
) -> Result<Response, Failure> {
    let key = key(path)?;
    told(&app, &caller, key.as_str(), may_read(&caller, &key))?;
    let entry = stored(|done| app.hub.store().get(&key, done)).await?;
    let missing = || Failure::new(ErrorCode::NoValue, format!("{key} has no value"));
    let entry = entry.ok_or_else(missing)?;
    let mut out = Vec::with_capacity(entry.value.len() + 128);
    push_entry(&mut out, &key, &entry);
    Ok(tagged(entry.version, out))
}

/// `PUT /store/{*key}?ttl_s=&expect=`: the body is the value.
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Tail(path): Tail,
    Asking(asked): Asking<Changing>,
    request: Request,
) -> Result<Response, Failure> {
    let key = key(path)?;
    told(&app, &caller, key.as_str(), may_write(&caller, &key))?;
    if is_lines(request.headers())? {
        return Err(Failure::new(ErrorCode::UnsupportedMediaType, "a value is one JSON value, not lines"));
    }
    let condition = condition(&asked, request.headers())?;
    let ttl = asked.ttl_s.map(ttl).transpose()?;
    let limit = app.hub.settings().publish_bytes;
    let bytes = body(&app, request, limit, "limits.publish_bytes").await?;
    let text = form::text(&bytes)?;
    let parsed: &RawValue = serde_json::from_str(text).map_err(|error| form::refusal(&error, text))?;
    // A copy: what is kept must not keep the blanks around it, nor more of the buffer than it is.
    let value = Bytes::copy_from_slice(parsed.get().as_bytes());
    let write = Write { value, ttl, expect: condition.expect };
    let version = match stored(|done| app.hub.store().set(&key, write, done)).await {
        Ok(version) => version,
        Err(refusal) => return Ok(condition.refused(refusal)),
    };
    let mut out = Vec::with_capacity(64 + key.as_str().len());
    push_head(&mut out, &key, version);
    out.push(b'}');
    Ok(tagged(version, out))
}

/// `DELETE /store/{*key}?expect=`.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Tail(path): Tail,
    Asking(asked): Asking<Changing>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let key = key(path)?;
    told(&app, &caller, key.as_str(), may_write(&caller, &key))?;
    let condition = condition(&asked, &headers)?;
    if asked.ttl_s.is_some() {
        return Err(invalid("ttl_s has no meaning for a value that goes"));
    }
    match stored(|done| app.hub.store().delete(&key, condition.expect, done)).await {
        Ok(true) => {
            let mut out = b"{\"key\":".to_vec();
            push_json_string(&mut out, key.as_str());
            out.extend_from_slice(b",\"deleted\":true}");
            Ok(json(out))
        }
        Ok(false) => Err(Failure::new(ErrorCode::NoValue, format!("{key} has no value"))),
        Err(refusal) => Ok(condition.refused(refusal)),
    }
}

/// `GET /store?prefix=&after=&limit=`.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Asking(asked): Asking<Asked>,
) -> Result<Response, Failure> {
    let limit = asked.limit.unwrap_or(LIST_DEFAULT);
    let prefix = asked.prefix.unwrap_or_default();
    let range = Range::new(&prefix, asked.after.as_deref(), limit)?;
    told(&app, &caller, &prefix, caller.grant.may_list_store(&prefix))?;
    let mut listing = stored(|done| app.hub.store().list(&range, done)).await?;
    let last = listing.entries.last().map(|(key, _)| key.clone());
    listing.entries.retain(|(key, _)| !key.as_str().starts_with(OWN_KEYS));
    Ok(json(list_answer(&listing, last.as_ref())))
}

fn list_answer(listing: &Listing, last: Option<&Key>) -> Vec<u8> {
    let mut out = b"{\"entries\":[".to_vec();
    for (n, (key, entry)) in listing.entries.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        push_entry(&mut out, key, entry);
    }
    out.push(b']');
    if let Some(last) = last.filter(|_| listing.more) {
        out.extend_from_slice(b",\"next\":");
        push_json_string(&mut out, last.as_str());
    }
    out.push(b'}');
    out
}

/// An entry, its value as it came.
fn push_entry(out: &mut Vec<u8>, key: &Key, entry: &Entry) {
    push_head(out, key, entry.version);
    if let Some(expires_us) = entry.expires_us {
        out.extend_from_slice(b",\"expires_at\":\"");
        push_rfc3339(out, expires_us);
        out.push(b'"');
    }
    out.extend_from_slice(b",\"value\":");
    out.extend_from_slice(&entry.value);
    out.push(b'}');
}

fn push_head(out: &mut Vec<u8>, key: &Key, version: u64) {
    out.extend_from_slice(b"{\"key\":");
    push_json_string(out, key.as_str());
    out.extend_from_slice(b",\"version\":");
    push_number(out, version);
}

fn tagged(version: u64, body: Vec<u8>) -> Response {
    let mut response = json(body);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Whether the key may be read from outside.
fn may_read(caller: &Caller, key: &Key) -> Result<(), Refusal> {
    of_others(key)?;
    caller.grant.may_read_store(key.as_str())
}

/// Whether the key may be changed from outside.
fn may_write(caller: &Caller, key: &Key) -> Result<(), Refusal> {
    of_others(key)?;
    caller.grant.may_write_store(key.as_str())
}

/// Whether the key is not one of the hub's own.
pub(crate) fn of_others(key: &Key) -> Result<(), Refusal> {
    if key.as_str().starts_with(OWN_KEYS) {
        let message = format!("{key}: keys that begin with {OWN_KEYS} are the hub's own");
        return Err(Refusal::new(ErrorCode::Forbidden, message));
    }
    Ok(())
}

/// Remembers what is refused.
fn told(app: &App, caller: &Caller, about: &str, allowed: Result<(), Refusal>) -> Result<(), Refusal> {
    allowed.inspect_err(|refusal| {
        app.report(IncidentKind::RequestRefused, &caller.principal, about, refusal);
    })
}

fn key(path: Option<String>) -> Result<Key, Failure> {
    Ok(Key::parse(&path.unwrap_or_default())?)
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, message)
}

fn ttl(seconds: f64) -> Result<Duration, Failure> {
    let is_some = seconds > 0.0 && seconds <= TTL_LIMIT_S;
    let ttl = Duration::try_from_secs_f64(seconds).ok().filter(|ttl| is_some && ttl.as_micros() > 0);
    ttl.ok_or_else(|| invalid(format!("ttl_s is {seconds}, it must be above 0 and at most {TTL_LIMIT_S}")))
}

/// What must be so: `expect=absent`, `expect=VERSION`, `If-None-Match: *` or `If-Match: "VERSION"`; one of them.
fn condition(asked: &Changing, headers: &HeaderMap) -> Result<Condition, Failure> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    let (matching, none) = (text(header::IF_MATCH), text(header::IF_NONE_MATCH));
    let given = [asked.expect.as_deref(), matching, none];
    if given.iter().flatten().count() > 1 {
        return Err(invalid("give one of expect, If-Match and If-None-Match"));
    }
    let in_header = asked.expect.is_none() && given.iter().any(Option::is_some);
    let expect =
        match (asked.expect.as_deref(), matching, none) {
            (Some("absent"), ..) | (_, _, Some("*")) => Expect::Absent,
            (Some(version), ..) => Expect::Version(
                version
                    .parse()
                    .map_err(|_| invalid(format!("expect is {version:?}, it must be absent or a version")))?,
            ),
            (_, Some(tag), _) => Expect::Version(tag_version(tag).ok_or_else(|| {
                invalid(format!("If-Match is {tag}, it must be one ETag that this hub gave"))
            })?),
            (_, _, Some(tag)) => return Err(invalid(format!("If-None-Match is {tag}, it must be *"))),
            (None, None, None) => Expect::Any,
        };
    Ok(Condition { expect, in_header })
}

fn tag_version(tag: &str) -> Option<u64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

impl Condition {
    /// The refusal as an answer; what a header has asked for fails with a status of its own (RFC 9110 section 13.1).
    fn refused(&self, refusal: Refusal) -> Response {
        let is_conflict = refusal.code == ErrorCode::VersionConflict;
        let mut response = Failure(refusal).into_response();
        if is_conflict && self.in_header {
            *response.status_mut() = StatusCode::PRECONDITION_FAILED;
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(expect: Option<&str>, headers: &[(HeaderName, &str)]) -> Option<Condition> {
        let asked = Changing { ttl_s: None, expect: expect.map(Into::into) };
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        condition(&asked, &headers).ok()
    }

    #[test]
    fn a_condition_is_said_in_one_place() {
        let (matching, none) = (header::IF_MATCH, header::IF_NONE_MATCH);
        let by_query = |expect| Some(Condition { expect, in_header: false });
        let by_header = |expect| Some(Condition { expect, in_header: true });
        assert_eq!(read(None, &[]), by_query(Expect::Any));
        assert_eq!(read(Some("absent"), &[]), by_query(Expect::Absent));
        assert_eq!(read(Some("17"), &[]), by_query(Expect::Version(17)));
        assert_eq!(read(None, &[(matching.clone(), "\"17\"")]), by_header(Expect::Version(17)));
        assert_eq!(read(None, &[(none.clone(), "*")]), by_header(Expect::Absent));
        for (expect, headers) in [
            (Some("17"), vec![(matching.clone(), "\"17\"")]),
            (None, vec![(matching.clone(), "\"17\""), (none.clone(), "*")]),
            (Some("any"), vec![]),
            (Some("-1"), vec![]),
            (None, vec![(matching.clone(), "17")]),
            (None, vec![(matching.clone(), "*")]),
            (None, vec![(matching, "\"1\", \"2\"")]),
            (None, vec![(none, "\"17\"")]),
        ] {
            assert_eq!(read(expect, &headers), None, "{expect:?} {headers:?}");
        }
    }

    #[test]
    fn a_time_to_live_is_some_time() {
        assert_eq!(ttl(0.5).ok(), Some(Duration::from_millis(500)));
        for seconds in [0.0, -1.0, 1e-9, 1e12, f64::NAN, f64::INFINITY] {
            assert!(ttl(seconds).is_err(), "{seconds}");
        }
    }
}
