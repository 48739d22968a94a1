//! Strings and numbers. A hash is a value like others here: read as a string it is a JSON object.

use std::sync::Arc;

use bytes::Bytes;
use tapeline_codec::resp::parse_integer;
use tapeline_core::Hub;
use tapeline_core::store::{Done, Entry, Expect, Key, Write};
use tapeline_schema::ErrorCode;

use super::change::{Life, Next, change, fits};
use super::options::{Setting, Unit};
use super::reading::{read, read_all, write_all, writing};
use super::value::{self, to_bytes, to_json};
use super::{Answer, Said, Work};
use crate::resp::Outcome;
use crate::resp::talk::Call;
use crate::resp::words::NOT_AN_INTEGER;

fn bytes_of(entry: &Entry) -> Bytes {
    value::bytes_of(&entry.value)
}

fn old(entry: Option<&Entry>) -> Said {
    Said::maybe(entry.map(bytes_of))
}

/// Changes one value by what is there.
fn alter(
    call: &mut Call<'_, '_>,
    decide: impl FnMut(Option<&Entry>, u64) -> Result<Next, String> + Send + 'static,
) -> Outcome {
    match call.changeable(1) {
        Err(denied) => call.deny(denied),
        Ok(key) => call.ask(Work::Change, move |hub, answer| change(hub, key, Box::new(decide), answer)),
    }
}

pub(in crate::resp) fn get(call: &mut Call<'_, '_>) -> Outcome {
    read(call, |entry, _| old(entry.as_ref()))
}

pub(in crate::resp) fn strlen(call: &mut Call<'_, '_>) -> Outcome {
    read(call, |entry, _| Said::count(entry.map_or(0, |entry| to_bytes(&entry.value).len())))
}

pub(in crate::resp) fn getrange(call: &mut Call<'_, '_>) -> Outcome {
    let (from, to) = match (call.words.integer(2), call.words.integer(3)) {
        (Ok(from), Ok(to)) => (from, to),
        (Err(text), _) | (_, Err(text)) => return call.fail(&text),
    };
    read(call, move |entry, _| {
        let bytes = entry.map(|entry| bytes_of(&entry)).unwrap_or_default();
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let place = |at: i64| usize::try_from(if at < 0 { (length + at).max(0) } else { at }).unwrap_or(0);
        let (start, end) = (place(from), place(to).saturating_add(1).min(bytes.len()));
        let is_nothing = from < 0 && to < 0 && from > to;
        let part = bytes.get(start..end).filter(|_| !is_nothing).unwrap_or_default();
        Said::Bulk(bytes.slice_ref(part))
    })
}

pub(in crate::resp) fn set(call: &mut Call<'_, '_>) -> Outcome {
    match Setting::read(call.words, 3) {
        Ok(setting) => put(call, 2, setting, "set", Shown::Ok),
        Err(text) => call.fail(&text),
    }
}

/// How a command says that it has set something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Ok,
    Number,
}

impl Shown {
    fn said(self, is_set: bool) -> Said {
        match (self, is_set) {
            (Shown::Ok, true) => Said::Ok,
            (Shown::Ok, false) => Said::Null,
            (Shown::Number, is_set) => Said::flag(is_set),
        }
    }
}

/// Sets one value: the word at this place.
fn put(call: &mut Call<'_, '_>, place: usize, setting: Setting, name: &'static str, shown: Shown) -> Outcome {
    let key = if setting.get { call.changeable(1) } else { call.writable(1) };
    let key = match key {
        Ok(key) => key,
        Err(denied) => return call.deny(denied),
    };
    let life = match setting.life(call.port.now().wall_us, name) {
        Ok(life) => life,
        Err(text) => return call.fail(&text),
    };
    let value = to_json(call.words.at(place));
    if let Err(refusal) = fits(call.port.hub(), &key, &value) {
        return call.fail(&crate::resp::wire::refused(&refusal));
    }
    let Some(life) = life.filter(|_| !(setting.get || setting.keep || setting.only_old)) else {
        let decide = move |entry: Option<&Entry>, _| {
            let is_set = !(setting.only_new && entry.is_some() || setting.only_old && entry.is_none());
            let said = if setting.get { old(entry) } else { shown.said(is_set) };
            Ok(match life {
                _ if !is_set => Next::Nothing(said),
                Some(life) => Next::Write(value.clone(), life, said),
                // Its time has passed, so it is gone as soon as it is set.
                None if entry.is_some() => Next::Delete(said),
                None => Next::Nothing(said),
            })
        };
        return call.ask(Work::Change, move |hub, answer| change(hub, key, Box::new(decide), answer));
    };
    let expect = if setting.only_new { Expect::Absent } else { Expect::Any };
    let ttl = if let Life::For(time) = life { Some(time) } else { None };
    let write = Write { value, ttl, expect };
    let work = if setting.only_new { Work::Change } else { Work::Write };
    call.ask(work, move |hub, answer| {
        let done: Done<u64> = Box::new(move |made| match made {
            Ok(_) => answer.give(&shown.said(true)),
            Err(refusal) if refusal.code == ErrorCode::VersionConflict => answer.give(&shown.said(false)),
            Err(refusal) => answer.fail(&refusal),
        });
        hub.store().set(&key, write, done);
    })
}

pub(in crate::resp) fn setnx(call: &mut Call<'_, '_>) -> Outcome {
    put(call, 2, Setting { only_new: true, ..Setting::default() }, "setnx", Shown::Number)
}

pub(in crate::resp) fn setex(call: &mut Call<'_, '_>) -> Outcome {
    put_for(call, Unit::Seconds, "setex")
}

pub(in crate::resp) fn psetex(call: &mut Call<'_, '_>) -> Outcome {
    put_for(call, Unit::Millis, "psetex")
}

fn put_for(call: &mut Call<'_, '_>, unit: Unit, name: &'static str) -> Outcome {
    match call.words.integer(2) {
        Ok(number) => {
            let setting = Setting { time: Some((number, unit)), ..Setting::default() };
            put(call, 3, setting, name, Shown::Ok)
        }
        Err(text) => call.fail(&text),
    }
}

pub(in crate::resp) fn getset(call: &mut Call<'_, '_>) -> Outcome {
    put(call, 2, Setting { get: true, ..Setting::default() }, "getset", Shown::Ok)
}

pub(in crate::resp) fn getdel(call: &mut Call<'_, '_>) -> Outcome {
    alter(call, |entry, _| {
        Ok(if entry.is_some() { Next::Delete(old(entry)) } else { Next::Nothing(Said::Null) })
    })
}

pub(in crate::resp) fn append(call: &mut Call<'_, '_>) -> Outcome {
    let more = call.words.at(2).to_vec();
    alter(call, move |entry, _| {
        let mut bytes = entry.map(|entry| bytes_of(entry).to_vec()).unwrap_or_default();
        bytes.extend_from_slice(&more);
        Ok(Next::Write(to_json(&bytes), Life::Same, Said::count(bytes.len())))
    })
}

pub(in crate::resp) fn mget(call: &mut Call<'_, '_>) -> Outcome {
    read_all(call, |entry| old(entry.as_ref()), Said::List)
}

pub(in crate::resp) fn mset(call: &mut Call<'_, '_>) -> Outcome {
    if call.words.len().is_multiple_of(2) {
        return call.fail("ERR wrong number of arguments for 'mset' command");
    }
    let places = (1..call.words.len()).step_by(2);
    let keys: Result<Vec<Key>, _> = places.clone().map(|place| call.writable(place)).collect();
    let keys = match keys {
        Ok(keys) => keys,
        Err(denied) => return call.deny(denied),
    };
    let values: Vec<_> = places.map(|place| to_json(call.words.at(place + 1))).collect();
    for (key, value) in keys.iter().zip(&values) {
        if let Err(refusal) = fits(call.port.hub(), key, value) {
            return call.fail(&crate::resp::wire::refused(&refusal));
        }
    }
    call.ask_of(keys.len(), writing(keys.len()), move |hub, answer| set_all(hub, keys, values, answer))
}

fn set_all(hub: &Arc<Hub>, keys: Vec<Key>, values: Vec<Bytes>, answer: Answer) {
    let count = keys.len();
    let ask = move |hub: &Arc<Hub>, place: usize, done| match (keys.get(place), values.get(place)) {
        (Some(key), Some(value)) => {
            hub.store().set(key, Write { value: value.clone(), ttl: None, expect: Expect::Any }, done);
        }
        _ => drop(done),
    };
    write_all((hub, answer), count, ask, |_: u64| Said::Ok, |_| Said::Ok);
}

pub(in crate::resp) fn incr(call: &mut Call<'_, '_>) -> Outcome {
    count(call, Ok(1))
}

pub(in crate::resp) fn decr(call: &mut Call<'_, '_>) -> Outcome {
    count(call, Ok(-1))
}

pub(in crate::resp) fn incrby(call: &mut Call<'_, '_>) -> Outcome {
    let by = call.words.integer(2);
    count(call, by)
}

pub(in crate::resp) fn decrby(call: &mut Call<'_, '_>) -> Outcome {
    let by = call.words.integer(2);
    let back = |by: i64| by.checked_neg().ok_or_else(|| "ERR decrement would overflow".to_string());
    count(call, by.and_then(back))
}

fn count(call: &mut Call<'_, '_>, by: Result<i64, String>) -> Outcome {
    let by = match by {
        Ok(by) => by,
        Err(text) => return call.fail(&text),
    };
    alter(call, move |entry, _| {
        let number = add(entry.map(bytes_of).as_deref(), by)?;
        Ok(Next::Write(to_json(number.to_string().as_bytes()), Life::Same, Said::Integer(number)))
    })
}

/// A number that is there, or none, and so much more.
///
/// # Errors
/// Redis' text.
pub(super) fn add(there: Option<&[u8]>, by: i64) -> Result<i64, String> {
    let number = there.map_or(Some(0), parse_integer).ok_or(NOT_AN_INTEGER)?;
    number.checked_add(by).ok_or_else(|| "ERR increment or decrement would overflow".to_string())
}
