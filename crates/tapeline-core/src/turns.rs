//! The order of answers, for protocols whose answers carry no mark of their request: each request takes a place, and
//! places leave one after another, whoever fills them and when.

use std::collections::VecDeque;

/// Places that one session may have taken and not filled, or filled and not sent.
pub(crate) const TURNS: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// The number of the first place in `waiting`.
    first: u64,
    waiting: VecDeque<Option<Box<[u8]>>>,
    /// Of what is filled and not sent.
    bytes: usize,
}

impl Turns {
    /// The next place.
    pub(crate) fn take(&mut self) -> u64 {
        self.waiting.push_back(None);
        self.first + self.waiting.len() as u64 - 1
    }

    /// How many places wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of the answers that wait for others.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Fills a place; what is filled twice, or was never taken, is dropped.
    pub(crate) fn fill(&mut self, turn: u64, bytes: Box<[u8]>) {
        let at = turn.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(place @ None) = at.and_then(|at| self.waiting.get_mut(at)) {
            self.bytes += bytes.len();
            *place = Some(bytes);
        }
    }

    /// The next answer that may leave.
    pub(crate) fn next(&mut self) -> Option<Box<[u8]>> {
        let bytes = self.waiting.front_mut()?.take()?;
        self.waiting.pop_front();
        self.first += 1;
        self.bytes -= bytes.len();
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(turns: &mut Turns) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| turns.next()).map(|bytes| bytes.to_vec()).collect()
    }

    #[test]
    fn answers_leave_in_the_order_in_which_their_places_were_taken() {
        let mut turns = Turns::default();
        let [a, b, c] = [turns.take(), turns.take(), turns.take()];
        turns.fill(b, (*b"b").into());
        assert_eq!((sent(&mut turns).len(), turns.bytes()), (0, 1));
        turns.fill(a, (*b"a").into());
        assert_eq!(sent(&mut turns), [b"a", b"b"]);
        turns.fill(a, (*b"again").into());
        turns.fill(c + 1, (*b"never taken").into());
        assert_eq!((sent(&mut turns).len(), turns.len()), (0, 1));
        turns.fill(c, (*b"c").into());
        assert_eq!(sent(&mut turns), [b"c"]);
        assert_eq!((turns.len(), turns.bytes()), (0, 0));
    }
}
