//! Keys of whatever kind: whether they are there, how long they live, and that they go.

use tapeline_core::store::{Entry, Key};

use super::change::{Life, Next, change};
use super::options::{Conditions, Unit, life, millis};
use super::reading::{read, read_all, remove_all, sum, writing};
use super::value::is_hash;
use super::{Said, Work};
use crate::resp::Outcome;
use crate::resp::talk::Call;

pub(in crate::resp) fn del(call: &mut Call<'_, '_>) -> Outcome {
    let keys: Result<Vec<Key>, _> = (1..call.words.len()).map(|place| call.writable(place)).collect();
    match keys {
        Err(denied) => call.deny(denied),
        Ok(keys) => call.ask_of(keys.len(), writing(keys.len()), move |hub, answer| {
            remove_all(hub, keys, answer, sum);
        }),
    }
}

pub(in crate::resp) fn exists(call: &mut Call<'_, '_>) -> Outcome {
    read_all(call, |entry| Said::flag(entry.is_some()), sum)
}

/// The kind of a value: an object is a hash, all else a string.
pub(super) fn kind(entry: &Entry) -> &'static str {
    if is_hash(&entry.value) { "hash" } else { "string" }
}

pub(in crate::resp) fn kind_of(call: &mut Call<'_, '_>) -> Outcome {
    read(call, |entry, _| Said::Simple(entry.as_ref().map_or("none", kind)))
}

/// What is left, or -1 for ever, or -2 where there is nothing.
fn left(call: &mut Call<'_, '_>, say: fn(u64, u64) -> u64) -> Outcome {
    read(call, move |entry, now_us| match entry.map(|entry| entry.expires_us) {
        None => Said::Integer(-2),
        Some(None) => Said::Integer(-1),
        Some(Some(ends_us)) => Said::Integer(i64::try_from(say(ends_us, now_us)).unwrap_or(i64::MAX)),
    })
}

pub(in crate::resp) fn ttl(call: &mut Call<'_, '_>) -> Outcome {
    // Rounded, as Redis rounds milliseconds.
    left(call, |ends_us, now_us| (ends_us.saturating_sub(now_us) / 1_000 + 500) / 1_000)
}

pub(in crate::resp) fn pttl(call: &mut Call<'_, '_>) -> Outcome {
    left(call, |ends_us, now_us| ends_us.saturating_sub(now_us) / 1_000)
}

pub(in crate::resp) fn expiretime(call: &mut Call<'_, '_>) -> Outcome {
    left(call, |ends_us, _| (ends_us / 1_000 + 500) / 1_000)
}

pub(in crate::resp) fn pexpiretime(call: &mut Call<'_, '_>) -> Outcome {
    left(call, |ends_us, _| ends_us / 1_000)
}

pub(in crate::resp) fn expire(call: &mut Call<'_, '_>) -> Outcome {
    limit(call, Unit::Seconds, "expire")
}

pub(in crate::resp) fn pexpire(call: &mut Call<'_, '_>) -> Outcome {
    limit(call, Unit::Millis, "pexpire")
}

pub(in crate::resp) fn expireat(call: &mut Call<'_, '_>) -> Outcome {
    limit(call, Unit::AtSecond, "expireat")
}

pub(in crate::resp) fn pexpireat(call: &mut Call<'_, '_>) -> Outcome {
    limit(call, Unit::AtMilli, "pexpireat")
}

fn limit(call: &mut Call<'_, '_>, unit: Unit, name: &'static str) -> Outcome {
    let asked = call.words.integer(2).and_then(|number| Ok((number, Conditions::read(call.words, 3)?)));
    let (number, conditions) = match asked {
        Ok(asked) => asked,
        Err(text) => return call.fail(&text),
    };
    let left = match millis(number, unit, call.port.now().wall_us, name) {
        Ok(left) => left,
        Err(text) => return call.fail(&text),
    };
    alter(call, move |entry, now_us| {
        let Some(entry) = entry else { return Ok(Next::Nothing(Said::Integer(0))) };
        let would_us = now_us.saturating_add_signed(left.saturating_mul(1_000));
        if !conditions.hold(entry.expires_us, would_us) {
            return Ok(Next::Nothing(Said::Integer(0)));
        }
        let said = Said::Integer(1);
        Ok(match life(left) {
            Some(life) => Next::Write(entry.value.clone(), life, said),
            None => Next::Delete(said),
        })
    })
}

pub(in crate::resp) fn persist(call: &mut Call<'_, '_>) -> Outcome {
    alter(call, |entry, _| {
        Ok(match entry.filter(|entry| entry.expires_us.is_some()) {
            Some(entry) => Next::Write(entry.value.clone(), Life::Forever, Said::Integer(1)),
            None => Next::Nothing(Said::Integer(0)),
        })
    })
}

fn alter(
    call: &mut Call<'_, '_>,
    decide: impl FnMut(Option<&Entry>, u64) -> Result<Next, String> + Send + 'static,
) -> Outcome {
    match call.changeable(1) {
        Err(denied) => call.deny(denied),
        Ok(key) => call.ask(Work::Change, move |hub, answer| change(hub, key, Box::new(decide), answer)),
    }
}
