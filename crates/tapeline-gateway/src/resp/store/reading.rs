//! Commands that read one key, and commands of many keys: those are asked so many at once, beside the shard where they are
//! more, so that neither the store nor the memory ever has more of one connection.

use std::ops::Range;
use std::sync::Arc;

use tapeline_core::store::{Done, Entry, Expect, Key};
use tapeline_core::{Hub, Refusal};
use tokio::sync::oneshot;

use super::gather::gather;
use super::gauge::READS_AT_ONCE;
use super::{ANSWER_BYTES, Answer, Said, Work};
use crate::resp::Outcome;
use crate::resp::talk::Call;

/// Keys of one command that are written at once.
const WRITES_AT_ONCE: usize = 256;

/// Reads one key and says what `say` makes of the entry and the time, microseconds since 1970.
pub(super) fn read(
    call: &mut Call<'_, '_>,
    say: impl FnOnce(Option<Entry>, u64) -> Said + Send + 'static,
) -> Outcome {
    match call.readable(1) {
        Err(denied) => call.deny(denied),
        Ok(key) => call.ask(Work::Read, move |hub, answer| {
            let now_us = hub.now().wall_us;
            let done: Done<Option<Entry>> = Box::new(move |found| match found {
                Ok(entry) => {
                    answer.look(entry.as_ref().map_or(0, |entry| entry.value.len()));
                    answer.give(&say(entry, now_us));
                }
                Err(refusal) => answer.fail(&refusal),
            });
            hub.store().get(&key, done);
        }),
    }
}

/// What is asked of the store of each place.
type Ask<T> = Box<dyn Fn(&Arc<Hub>, usize, Done<T>) + Send>;

/// Something that is asked of many keys.
pub(super) struct Many<T> {
    count: usize,
    at_once: usize,
    ask: Ask<T>,
    part: fn(T) -> Said,
    whole: fn(Vec<Said>) -> Said,
}

impl<T: Send + 'static> Many<T> {
    /// So many questions; `part` says what each comes to, `whole` what all of them do.
    pub(super) fn new(
        (count, at_once): (usize, usize),
        ask: impl Fn(&Arc<Hub>, usize, Done<T>) + Send + 'static,
        part: fn(T) -> Said,
        whole: fn(Vec<Said>) -> Said,
    ) -> Self {
        Many { count, at_once, ask: Box::new(ask), part, whole }
    }

    /// Asks, and answers when all is known. Where one is refused, what comes after those that are under way is not asked.
    pub(super) fn run(self, hub: &Arc<Hub>, answer: Answer) {
        if self.count > self.at_once {
            let (hub, runtime) = (hub.clone(), answer.common.runtime.clone());
            runtime.spawn(async move { self.run_by_and_by(&hub, answer).await });
            return;
        }
        let (part, whole) = (self.part, self.whole);
        let say = move |found: Vec<T>| whole(found.into_iter().map(part).collect());
        for (place, done) in gather(self.count, answer, say).enumerate() {
            (self.ask)(hub, place, done);
        }
    }

    async fn run_by_and_by(self, hub: &Arc<Hub>, answer: Answer) {
        let (mut parts, mut held) = (Vec::with_capacity(self.count), 0);
        let mut next = 0;
        while next < self.count {
            let end = self.count.min(next + self.at_once);
            let mut refused = None;
            for under_way in self.begin(hub, next..end) {
                match under_way.await {
                    Ok(Ok(found)) => {
                        let part = (self.part)(found);
                        held += part.held();
                        parts.push(part);
                    }
                    Ok(Err(refusal)) => _ = refused.get_or_insert(refusal),
                    // The answer says so when it is let go.
                    Err(_) => return,
                }
            }
            if let Some(refusal) = refused {
                return answer.fail(&refusal);
            }
            if held > ANSWER_BYTES {
                return answer.give(&Said::too_large());
            }
            next = end;
            tokio::task::yield_now().await;
        }
        answer.give(&(self.whole)(parts));
    }

    fn begin(&self, hub: &Arc<Hub>, places: Range<usize>) -> Vec<oneshot::Receiver<Result<T, Refusal>>> {
        places
            .map(|place| {
                let (found, under_way) = oneshot::channel();
                (self.ask)(hub, place, Box::new(move |result| _ = found.send(result)));
                under_way
            })
            .collect()
    }
}

/// Reads the keys that a command names from its second word on.
pub(super) fn read_all(
    call: &mut Call<'_, '_>,
    part: fn(Option<Entry>) -> Said,
    whole: fn(Vec<Said>) -> Said,
) -> Outcome {
    let keys: Result<Vec<Key>, _> = (1..call.words.len()).map(|place| call.readable(place)).collect();
    match keys {
        Err(denied) => call.deny(denied),
        Ok(keys) => call.ask_of(keys.len(), Work::Read, move |hub, answer| {
            let counts = (keys.len(), READS_AT_ONCE);
            let ask = move |hub: &Arc<Hub>, place: usize, done| match keys.get(place) {
                Some(key) => hub.store().get(key, done),
                None => drop(done),
            };
            Many::new(counts, ask, part, whole).run(hub, answer);
        }),
    }
}

/// How a command is to wait that writes so many keys: where not all are written at once, what comes next must not overtake it.
pub(super) fn writing(keys: usize) -> Work {
    if keys > WRITES_AT_ONCE { Work::Change } else { Work::Write }
}

/// Writes so many keys.
pub(super) fn write_all<T: Send + 'static>(
    (hub, answer): (&Arc<Hub>, Answer),
    count: usize,
    ask: impl Fn(&Arc<Hub>, usize, Done<T>) + Send + 'static,
    part: fn(T) -> Said,
    whole: fn(Vec<Said>) -> Said,
) {
    Many::new((count, WRITES_AT_ONCE), ask, part, whole).run(hub, answer);
}

/// Removes keys.
pub(super) fn remove_all(hub: &Arc<Hub>, keys: Vec<Key>, answer: Answer, whole: fn(Vec<Said>) -> Said) {
    let count = keys.len();
    let ask = move |hub: &Arc<Hub>, place: usize, done| match keys.get(place) {
        Some(key) => hub.store().delete(key, Expect::Any, done),
        None => drop(done),
    };
    write_all((hub, answer), count, ask, Said::flag, whole);
}

/// How many there were.
pub(super) fn sum(parts: Vec<Said>) -> Said {
    Said::count(parts.iter().filter(|part| **part == Said::Integer(1)).count())
}
