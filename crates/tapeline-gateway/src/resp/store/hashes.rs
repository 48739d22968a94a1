//! Hashes: a JSON object under one key. Changing a field writes the object anew, if nobody was faster.

use bytes::Bytes;
use tapeline_core::store::Entry;

use super::change::{Life, Next, change};
use super::reading;
use super::strings::add;
use super::value::{self, Fields};
use super::{Said, Work};
use crate::resp::Outcome;
use crate::resp::name::to_hub;
use crate::resp::talk::Call;
use crate::resp::words::NOT_AN_INTEGER;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

fn fields(entry: Option<&Entry>) -> Result<Fields, String> {
    match entry {
        None => Ok(Fields::default()),
        Some(entry) => Fields::of(&entry.value).ok_or_else(|| WRONG_TYPE.to_string()),
    }
}

/// Reads a hash and says what `say` makes of it.
fn read(call: &mut Call<'_, '_>, say: impl FnOnce(&Fields) -> Said + Send + 'static) -> Outcome {
    reading::read(call, move |entry, _| {
        fields(entry.as_ref()).map_or_else(Said::Error, |fields| say(&fields))
    })
}

/// Reads one field of a hash and says what `say` makes of it.
fn find(call: &mut Call<'_, '_>, say: fn(Option<Bytes>) -> Said) -> Outcome {
    let field = call.words.at(2).to_vec();
    reading::read(call, move |entry, _| match entry {
        None => say(None),
        Some(entry) => value::field(&entry.value, &field).map_or_else(wrong_type, say),
    })
}

fn wrong_type() -> Said {
    Said::Error(WRONG_TYPE.to_string())
}

/// Changes a hash. Where nothing changes nothing is written; a hash without fields is none.
fn alter(
    call: &mut Call<'_, '_>,
    mut decide: impl FnMut(&mut Fields) -> Result<(bool, Said), String> + Send + 'static,
) -> Outcome {
    let key = match call.changeable(1) {
        Ok(key) => key,
        Err(denied) => return call.deny(denied),
    };
    let decide = move |entry: Option<&Entry>, _| {
        let mut fields = fields(entry)?;
        let (changed, said) = decide(&mut fields)?;
        Ok(match (changed, fields.len()) {
            (false, _) => Next::Nothing(said),
            (true, 0) => Next::Delete(said),
            (true, _) => Next::Write(fields.to_json(), Life::Same, said),
        })
    };
    call.ask(Work::Change, move |hub, answer| change(hub, key, Box::new(decide), answer))
}

/// The words from this place on.
fn words(call: &Call<'_, '_>, from: usize) -> Vec<Vec<u8>> {
    call.words.from(from).map(<[u8]>::to_vec).collect()
}

pub(in crate::resp) fn hget(call: &mut Call<'_, '_>) -> Outcome {
    find(call, Said::maybe)
}

pub(in crate::resp) fn hmget(call: &mut Call<'_, '_>) -> Outcome {
    let asked = words(call, 2);
    read(call, move |fields| Said::strings(asked.iter().map(|field| fields.get(field))))
}

pub(in crate::resp) fn hgetall(call: &mut Call<'_, '_>) -> Outcome {
    read(call, |fields| Said::Pairs(fields.pairs().collect()))
}

pub(in crate::resp) fn hkeys(call: &mut Call<'_, '_>) -> Outcome {
    read(call, |fields| Said::List(fields.pairs().map(|(field, _)| Said::Bulk(field)).collect()))
}

pub(in crate::resp) fn hvals(call: &mut Call<'_, '_>) -> Outcome {
    read(call, |fields| Said::List(fields.pairs().map(|(_, value)| Said::Bulk(value)).collect()))
}

pub(in crate::resp) fn hlen(call: &mut Call<'_, '_>) -> Outcome {
    reading::read(call, |entry, _| match entry {
        None => Said::count(0),
        Some(entry) => value::field_count(&entry.value).map_or_else(wrong_type, Said::count),
    })
}

pub(in crate::resp) fn hexists(call: &mut Call<'_, '_>) -> Outcome {
    find(call, |value| Said::flag(value.is_some()))
}

pub(in crate::resp) fn hstrlen(call: &mut Call<'_, '_>) -> Outcome {
    find(call, |value| Said::count(value.map_or(0, |value| value.len())))
}

/// All fields at once: there are never so many that they would not fit.
pub(in crate::resp) fn hscan(call: &mut Call<'_, '_>) -> Outcome {
    if call.words.at(2) != b"0" {
        return call.fail("ERR invalid cursor");
    }
    let pattern = match super::scan::Wanted::read(call.words, 3) {
        Ok(wanted) => wanted,
        Err(text) => return call.fail(&text),
    };
    read(call, move |fields| {
        let matching = fields.pairs().filter(|(field, _)| pattern.has(&to_hub(field)));
        let parts = matching.flat_map(|(field, value)| [Said::Bulk(field), Said::Bulk(value)]).collect();
        Said::List(vec![Said::Bulk(Bytes::from_static(b"0")), Said::List(parts)])
    })
}

pub(in crate::resp) fn hset(call: &mut Call<'_, '_>) -> Outcome {
    set(call, "hset", Said::count)
}

pub(in crate::resp) fn hmset(call: &mut Call<'_, '_>) -> Outcome {
    set(call, "hmset", |_| Said::Ok)
}

fn set(call: &mut Call<'_, '_>, name: &str, say: fn(usize) -> Said) -> Outcome {
    let given = words(call, 2);
    if !given.len().is_multiple_of(2) {
        return call.fail(&format!("ERR wrong number of arguments for '{name}' command"));
    }
    alter(call, move |fields| {
        let mut new = 0;
        for pair in given.chunks_exact(2) {
            if let [field, value] = pair {
                new += usize::from(fields.set(field, value)?);
            }
        }
        Ok((true, say(new)))
    })
}

pub(in crate::resp) fn hsetnx(call: &mut Call<'_, '_>) -> Outcome {
    let (field, value) = (call.words.at(2).to_vec(), call.words.at(3).to_vec());
    alter(call, move |fields| {
        if fields.get(&field).is_some() {
            return Ok((false, Said::Integer(0)));
        }
        fields.set(&field, &value)?;
        Ok((true, Said::Integer(1)))
    })
}

pub(in crate::resp) fn hdel(call: &mut Call<'_, '_>) -> Outcome {
    let given = words(call, 2);
    alter(call, move |fields| {
        let gone = given.iter().filter(|field| fields.remove(field)).count();
        Ok((gone > 0, Said::count(gone)))
    })
}

pub(in crate::resp) fn hincrby(call: &mut Call<'_, '_>) -> Outcome {
    let field = call.words.at(2).to_vec();
    let by = match call.words.integer(3) {
        Ok(by) => by,
        Err(text) => return call.fail(&text),
    };
    alter(call, move |fields| {
        let number = add(fields.get(&field).as_deref(), by).map_err(|text| match &*text {
            NOT_AN_INTEGER => "ERR hash value is not an integer".to_string(),
            _ => text,
        })?;
        fields.set(&field, number.to_string().as_bytes())?;
        Ok((true, Said::Integer(number)))
    })
}
