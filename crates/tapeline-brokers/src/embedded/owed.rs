//! An answer that somebody waits for. Where it is not given, because the thread that was to give it has ended by a fault of
//! the program, it is given when it is dropped: nobody waits for ever. It does not know who waits.

use tapeline_core::broker::Receipts;
use tapeline_core::store::Done;
use tapeline_core::{Receipt, Refusal};
use tapeline_schema::ErrorCode;

/// One result a draft.
pub(super) type Answers = Owed<Vec<Result<Receipt, Refusal>>>;

/// See the module.
pub(super) struct Owed<T> {
    answer: Option<Box<dyn FnOnce(T) + Send>>,
    /// How many results it has.
    count: usize,
    otherwise: fn(usize) -> T,
}

impl<T> Owed<T> {
    /// Answers.
    pub(super) fn give(mut self, result: T) {
        if let Some(answer) = self.answer.take() {
            answer(result);
        }
    }
}

impl Answers {
    /// So many results of a publish.
    pub(super) fn receipts(answer: Receipts, count: usize) -> Self {
        let otherwise = |count| (0..count).map(|_| Err(ended())).collect();
        Owed { answer: Some(answer), count, otherwise }
    }
}

impl Owed<Result<(), Refusal>> {
    /// What became of a change of the store.
    pub(super) fn done(answer: Done<()>) -> Self {
        Owed { answer: Some(answer), count: 1, otherwise: |_| Err(ended()) }
    }
}

impl Owed<u64> {
    /// How many messages were forgotten.
    pub(super) fn forgotten(answer: Box<dyn FnOnce(u64) + Send>) -> Self {
        Owed { answer: Some(answer), count: 1, otherwise: |_| 0 }
    }
}

impl Owed<()> {
    /// That all before is written, or will not be.
    pub(super) fn turn(answer: Box<dyn FnOnce(()) + Send>) -> Self {
        Owed { answer: Some(answer), count: 1, otherwise: |_| () }
    }
}

impl<T> Drop for Owed<T> {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            answer((self.otherwise)(self.count));
        }
    }
}

fn ended() -> Refusal {
    Refusal::new(ErrorCode::StorageFull, "the thread that writes the log has ended by a fault of the program")
}
