//! Looking through keys: `SCAN` page by page, `KEYS` and `DBSIZE` where there are not too many. Redis' cursors are numbers and
//! the store goes on behind a key, so this door remembers which number stands for which key.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tapeline_core::rights::OWN_KEYS;
use tapeline_core::store::{Entry, Key, LIST_LIMIT, Listing, Range};
use tapeline_core::{Hub, Refusal};
use tapeline_schema::Pattern;
use tapeline_schema::name::NameError;
use tokio::runtime::Handle;

use super::gauge::{Gauge, READS_AT_ONCE};
use super::glob::Glob;
use super::key::{NAMESPACE, is_own, name};
use super::keys::kind;
use super::reading::remove_all;
use super::{Answer, Denied, Said, Work};
use crate::resp::Outcome;
use crate::resp::name::{from_hub, pattern_to_hub};
use crate::resp::talk::Call;
use crate::resp::words::{SYNTAX, Words};

/// Keys that one command looks at, where it does not go page by page.
const LOOKED_AT: usize = 10_000;
/// Keys that a page looks at where nobody says how many, as in Redis.
const PAGE: usize = 10;
/// Bytes of values that one step of a scan looks into for their kind; the next goes on behind them.
const KINDS_BYTES: usize = 1 << 20;
/// What a key that is looked at costs beside its name.
const KEY_BYTES: usize = 64;
/// Scans that can be gone on with; the oldest are forgotten.
const CURSORS: usize = 4_096;
/// What means something in a pattern.
const SPECIAL: [char; 4] = ['*', '?', '[', '\\'];

/// Where scans stand, of all connections: clients go on with one over another.
#[derive(Debug, Default)]
pub(super) struct Cursors(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    last: u64,
    known: VecDeque<(u64, Place)>,
}

/// Which of a pattern's ranges, and the key before the next.
#[derive(Clone, Debug, Default)]
struct Place {
    range: usize,
    after: Option<Box<str>>,
}

impl Cursors {
    fn keep(&self, place: Place) -> u64 {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.last += 1;
        let number = places.last;
        places.known.push_back((number, place));
        if places.known.len() > CURSORS {
            places.known.pop_front();
        }
        number
    }

    fn find(&self, number: u64) -> Option<Place> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = places.known.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        places.known.get(at).map(|(_, place)| place.clone())
    }
}

/// Which keys, or fields, are asked for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pattern: Option<(Pattern, Glob)>,
    /// The pattern can match nothing at all.
    none: bool,
    count: Option<usize>,
    kind: Option<String>,
}

impl Wanted {
    /// Reads the options from this place on.
    ///
    /// # Errors
    /// Redis' text.
    pub(super) fn read(words: Words<'_>, from: usize) -> Result<Self, String> {
        let (mut wanted, mut pattern) = (Wanted::default(), None);
        let mut at = from;
        while at < words.len() {
            if at + 1 == words.len() {
                return Err(SYNTAX.to_string());
            }
            match () {
                () if words.is(at, "match") => pattern = Some(words.at(at + 1)),
                () if words.is(at, "count") => match words.integer(at + 1)? {
                    count @ 1.. => wanted.count = Some(usize::try_from(count).unwrap_or(usize::MAX)),
                    _ => return Err(SYNTAX.to_string()),
                },
                () if words.is(at, "type") => wanted.kind = Some(words.shown(at + 1).to_ascii_lowercase()),
                () => return Err(SYNTAX.to_string()),
            }
            at += 2;
        }
        pattern.map_or(Ok(()), |pattern| wanted.match_with(pattern))?;
        Ok(wanted)
    }

    /// # Errors
    /// Why it is no pattern here.
    fn match_with(&mut self, pattern: &[u8]) -> Result<(), String> {
        match Pattern::parse(&pattern_to_hub(pattern)) {
            Ok(pattern) => self.pattern = Some((pattern.clone(), Glob::of(&pattern))),
            // Redis matches it with the empty name, which no key has here.
            Err(NameError::EmptyPattern) => self.none = true,
            Err(error) => return Err(format!("ERR invalid_request: {error}")),
        }
        Ok(())
    }

    /// Whether a name, as the hub writes it, is asked for.
    pub(super) fn has(&self, name: &str) -> bool {
        !self.none && self.pattern.as_ref().is_none_or(|(_, glob)| glob.matches(name.as_bytes()))
    }

    /// What the store's keys begin with that are asked for: those with a namespace, then those without.
    fn ranges(&self) -> Vec<String> {
        let text = self.pattern.as_ref().map(|(pattern, _)| pattern.as_str()).unwrap_or_default();
        let start = text.find(SPECIAL).and_then(|end| text.get(..end)).unwrap_or(text);
        let is_whole = start.len() == text.len() && !text.is_empty();
        // A key's own name may be all of the pattern; it is still only a beginning.
        let has_namespace = start.find(':').is_some_and(|at| at > 0 && (at + 1 < start.len() || !is_whole));
        if has_namespace {
            return vec![start.to_string()];
        }
        vec![start.to_string(), format!("{NAMESPACE}{start}")]
    }
}

/// Keys that were found, and where to go on.
struct Found {
    keys: Vec<Key>,
    next: Option<Place>,
}

/// A walk through the store.
struct Walk {
    hub: Arc<Hub>,
    wanted: Wanted,
    ranges: Vec<String>,
    place: Place,
    /// How many more keys may be looked at.
    left: usize,
    /// Bytes of values that were looked into.
    looked_into: usize,
    gauge: Arc<Gauge>,
    /// Where it goes on page by page, if it has more than one: no shard waits for that.
    beside: Option<Handle>,
    keys: Vec<Key>,
    done: Box<dyn FnOnce(Result<Found, Refusal>) + Send>,
}

impl Walk {
    fn go_on(self) {
        match self.beside.clone() {
            Some(runtime) => _ = runtime.spawn(async move { self.step() }),
            None => self.step(),
        }
    }

    /// Goes on until enough keys have been looked at, or there are no more.
    fn step(mut self) {
        let Some(prefix) = self.ranges.get(self.place.range) else {
            return (self.done)(Ok(Found { keys: self.keys, next: None }));
        };
        if self.left == 0 || self.looked_into > KINDS_BYTES {
            return (self.done)(Ok(Found { keys: self.keys, next: Some(self.place) }));
        }
        let range = match Range::new(prefix, self.place.after.as_deref(), self.left.min(LIST_LIMIT)) {
            Ok(range) => range,
            // No key can begin so.
            Err(_) => {
                self.place = Place { range: self.place.range + 1, after: None };
                return self.go_on();
            }
        };
        let store = self.hub.store().clone();
        store.list(
            &range,
            Box::new(move |listed| match listed {
                Ok(listing) => self.take(listing),
                Err(refusal) => (self.done)(Err(refusal)),
            }),
        );
    }

    fn take(mut self, listing: Listing) {
        let own_range = self.place.range == 1;
        self.left = self.left.saturating_sub(listing.entries.len().max(1));
        let (mut last, mut more) = (None, listing.more);
        for (key, entry) in listing.entries {
            if self.looked_into > KINDS_BYTES {
                more = true;
                break;
            }
            self.gauge.look(key.as_str().len() + KEY_BYTES);
            last = Some(key.as_str().into());
            let is_here = is_own(&key) == own_range && !key.as_str().starts_with(OWN_KEYS);
            if is_here && self.wanted.has(name(&key)) && self.is_kind(&entry) {
                self.keys.push(key);
            }
        }
        self.place = match more {
            true => Place { range: self.place.range, after: last },
            false => Place { range: self.place.range + 1, after: None },
        };
        self.go_on();
    }

    fn is_kind(&mut self, entry: &Entry) -> bool {
        let Some(asked) = &self.wanted.kind else { return true };
        self.gauge.look(entry.value.len());
        self.looked_into += entry.value.len();
        *asked == kind(entry)
    }
}

/// Looks through keys from a place on, if the client may list all ranges from the first that counts.
fn walk(
    call: &mut Call<'_, '_>,
    (wanted, place, left, first): (Wanted, Place, usize, usize),
    work: Work,
    say: impl FnOnce(&Arc<Hub>, Found, Answer) + Send + 'static,
) -> Outcome {
    let ranges = wanted.ranges();
    let grant = call.port.grant();
    if let Some(refusal) = ranges.iter().skip(first).find_map(|range| grant.may_list_store(range).err()) {
        let about = ranges.get(first).map_or("", String::as_str).into();
        return call.deny(Denied { refusal, about });
    }
    // A page may be as large as all that is read at once.
    let weight = (1, if work == Work::Read { READS_AT_ONCE } else { 0 });
    call.ask_weighing(weight, work, move |hub, answer| {
        let (own, gauge) = (hub.clone(), answer.gauge.clone());
        let beside = (left > LIST_LIMIT).then(|| answer.common.runtime.clone());
        let done = move |found: Result<Found, Refusal>| match found {
            Ok(found) => say(&own, found, answer),
            Err(refusal) => answer.fail(&refusal),
        };
        let (hub, keys, done) = (hub.clone(), Vec::new(), Box::new(done));
        Walk { hub, wanted, ranges, place, left, looked_into: 0, gauge, beside, keys, done }.go_on();
    })
}

fn names(found: &Found) -> Said {
    Said::List(found.keys.iter().map(|key| Said::Bulk(from_hub(name(key)).into_owned().into())).collect())
}

/// What is said where there are more keys than one command looks at.
fn too_many() -> Said {
    Said::Error(format!("ERR too_large: there are more than {LOOKED_AT} keys to look at; use SCAN"))
}

pub(in crate::resp) fn scan(call: &mut Call<'_, '_>) -> Outcome {
    let number = std::str::from_utf8(call.words.at(1)).ok().and_then(|text| text.parse::<u64>().ok());
    let place = match number {
        Some(0) => Some(Place::default()),
        Some(number) => call.talk.common.cursors.find(number),
        None => None,
    };
    let Some(place) = place else { return call.fail("ERR invalid cursor") };
    let wanted = match Wanted::read(call.words, 2) {
        Ok(wanted) => wanted,
        Err(text) => return call.fail(&text),
    };
    let left = wanted.count.unwrap_or(PAGE).min(LIST_LIMIT);
    let common = call.talk.common.clone();
    // The place is the client's word, so all ranges count.
    walk(call, (wanted, place, left, 0), Work::Read, move |_, mut found, answer| {
        let next = found.next.take().map_or(0, |place| common.cursors.keep(place));
        let cursor = Said::Bulk(next.to_string().into_bytes().into());
        answer.give(&Said::List(vec![cursor, names(&found)]));
    })
}

pub(in crate::resp) fn keys(call: &mut Call<'_, '_>) -> Outcome {
    let mut wanted = Wanted::default();
    if let Err(text) = wanted.match_with(call.words.at(1)) {
        return call.fail(&text);
    }
    walk(call, (wanted, Place::default(), LOOKED_AT, 0), Work::Read, |_, found, answer| {
        answer.give(&if found.next.is_some() { too_many() } else { names(&found) });
    })
}

pub(in crate::resp) fn dbsize(call: &mut Call<'_, '_>) -> Outcome {
    walk(call, (Wanted::default(), Place::default(), LOOKED_AT, 0), Work::Read, |_, found, answer| {
        answer.give(&if found.next.is_some() { too_many() } else { Said::count(found.keys.len()) });
    })
}

/// Removes the keys without a namespace: those with one are others' too.
pub(in crate::resp) fn flush(call: &mut Call<'_, '_>) -> Outcome {
    for place in 1..call.words.len() {
        if call.words.len() > 2 || !(call.words.is(place, "async") || call.words.is(place, "sync")) {
            return call.fail(SYNTAX);
        }
    }
    if let Err(refusal) = call.port.grant().may_write_store(NAMESPACE) {
        return call.deny(Denied { refusal, about: NAMESPACE.into() });
    }
    let place = Place { range: 1, after: None };
    walk(call, (Wanted::default(), place, LOOKED_AT, 1), Work::Change, |hub, found, answer| {
        if found.next.is_some() {
            return answer.give(&too_many());
        }
        if found.keys.is_empty() {
            return answer.give(&Said::Ok);
        }
        remove_all(hub, found.keys, answer, |_| Said::Ok);
    })
}
