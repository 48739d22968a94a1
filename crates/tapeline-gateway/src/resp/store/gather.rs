//! Commands that ask the store several things: answered when the last of them is known, or refused with the first refusal.

use std::sync::{Arc, Mutex, PoisonError};

use tapeline_core::Refusal;
use tapeline_core::store::Done;

use super::{Answer, Said};

struct Gathering<T> {
    found: Vec<Option<T>>,
    left: usize,
    refusal: Option<Refusal>,
    rest: Option<(Answer, Finish<T>)>,
}

/// What is said of all that was found, in the order of the questions.
type Finish<T> = Box<dyn FnOnce(Vec<T>) -> Said + Send>;

/// One place for each question, to be asked in order.
pub(super) fn gather<T: Send + 'static>(
    count: usize,
    answer: Answer,
    finish: impl FnOnce(Vec<T>) -> Said + Send + 'static,
) -> impl Iterator<Item = Done<T>> {
    let gathering = Gathering {
        found: (0..count).map(|_| None).collect(),
        left: count,
        refusal: None,
        rest: Some((answer, Box::new(finish) as Finish<T>)),
    };
    let shared = Arc::new(Mutex::new(gathering));
    (0..count).map(move |place| {
        let shared = shared.clone();
        Box::new(move |found| note(&shared, place, found)) as Done<T>
    })
}

fn note<T>(shared: &Mutex<Gathering<T>>, place: usize, found: Result<T, Refusal>) {
    let mut gathering = shared.lock().unwrap_or_else(PoisonError::into_inner);
    match found {
        Ok(found) => {
            if let Some(place) = gathering.found.get_mut(place) {
                *place = Some(found);
            }
        }
        Err(refusal) => _ = gathering.refusal.get_or_insert(refusal),
    }
    gathering.left = gathering.left.saturating_sub(1);
    if gathering.left > 0 {
        return;
    }
    let Some((answer, finish)) = gathering.rest.take() else { return };
    let (found, refusal) = (std::mem::take(&mut gathering.found), gathering.refusal.take());
    drop(gathering);
    match refusal {
        Some(refusal) => answer.fail(&refusal),
        None => answer.give(&finish(found.into_iter().flatten().collect())),
    }
}
