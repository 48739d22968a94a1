//! Four first-in-first-out queues, urgent ones first, none starved.

use std::collections::VecDeque;

/// How many lanes there are: one a priority.
pub const LANES: usize = 4;

/// The lowest waiting lane is served at least every so many takes.
const FAIR_TURN: u8 = 16;

/// Queues by priority. Order within a lane never changes.
#[derive(Debug)]
pub struct Lanes<T> {
    queues: [VecDeque<T>; LANES],
    turn: u8,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Lanes { queues: std::array::from_fn(|_| VecDeque::new()), turn: 0 }
    }
}

impl<T> Lanes<T> {
    /// Appends to a lane; 0 is the most urgent.
    pub fn push(&mut self, lane: usize, item: T) {
        if let Some(queue) = self.queues.get_mut(lane.min(LANES - 1)) {
            queue.push_back(item);
        }
    }

    /// Appends items to a lane, in their order.
    pub fn extend(&mut self, lane: usize, items: impl IntoIterator<Item = T>) {
        if let Some(queue) = self.queues.get_mut(lane.min(LANES - 1)) {
            queue.extend(items);
        }
    }

    /// Puts an item back where it was taken from, and with it the turn: what is only looked at does not count.
    pub fn put_back(&mut self, lane: usize, item: T) {
        self.turn = (self.turn + FAIR_TURN - 1) % FAIR_TURN;
        if let Some(queue) = self.queues.get_mut(lane.min(LANES - 1)) {
            queue.push_front(item);
        }
    }

    /// Takes the next item and says from which lane.
    pub fn take(&mut self) -> Option<(usize, T)> {
        self.turn = (self.turn + 1) % FAIR_TURN;
        let mut lanes = self.queues.iter_mut().enumerate();
        let found = if self.turn == 0 {
            lanes.rfind(|(_, queue)| !queue.is_empty())
        } else {
            lanes.find(|(_, queue)| !queue.is_empty())
        };
        let (lane, queue) = found?;
        Some((lane, queue.pop_front()?))
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    /// Whether anything waits in the most urgent lane.
    pub fn has_urgent(&self) -> bool {
        self.queues.first().is_some_and(|queue| !queue.is_empty())
    }

    /// The least urgent lane where anything waits.
    pub fn lowest_waiting(&self) -> Option<usize> {
        self.queues.iter().rposition(|queue| !queue.is_empty())
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.queues.iter().map(VecDeque::len).sum()
    }

    /// Gives memory back after a burst; call when empty.
    pub fn shrink(&mut self) {
        for queue in &mut self.queues {
            if queue.is_empty() && queue.capacity() > 64 {
                *queue = VecDeque::new();
            }
        }
    }

    /// Moves everything of `other` behind what is here.
    pub fn append(&mut self, other: &mut Lanes<T>) {
        for (queue, more) in self.queues.iter_mut().zip(&mut other.queues) {
            if queue.is_empty() {
                std::mem::swap(queue, more);
            } else {
                queue.append(more);
            }
        }
    }

    /// Takes everything of one lane, in its order.
    pub fn drain_lane(&mut self, lane: usize) -> impl Iterator<Item = T> {
        self.queues.get_mut(lane).into_iter().flat_map(|queue| queue.drain(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_lanes_leave_first_and_order_within_a_lane_holds() {
        let mut lanes = Lanes::default();
        lanes.push(3, "low");
        lanes.push(0, "first");
        lanes.push(0, "second");
        assert_eq!(lanes.take(), Some((0, "first")));
        assert_eq!(lanes.take(), Some((0, "second")));
        assert_eq!(lanes.take(), Some((3, "low")));
        assert_eq!(lanes.take(), None);
    }

    #[test]
    fn the_lowest_waiting_lane_is_served_within_sixteen_takes() {
        let mut lanes = Lanes::default();
        lanes.push(3, 0);
        for _ in 0..100 {
            lanes.push(0, 1);
        }
        let at = (1..).find(|_| lanes.take() == Some((3, 0))).unwrap();
        assert!(at <= 16, "the low lane waited for {at} takes");
    }

    #[test]
    fn the_lowest_waiting_lane_is_served_though_a_socket_takes_one_item_of_many_each_time() {
        let mut lanes = Lanes::default();
        lanes.push(3, 0);
        for _ in 0..200 {
            lanes.push(0, 1);
        }
        let one_of_many = |lanes: &mut Lanes<i32>| {
            let mut taken: Vec<_> = std::iter::from_fn(|| lanes.take()).take(64).collect();
            for (lane, item) in taken.drain(1..).rev() {
                lanes.put_back(lane, item);
            }
            taken.pop()
        };
        let at = (1..=200).find(|_| one_of_many(&mut lanes) == Some((3, 0))).unwrap();
        assert!(at <= 16, "the low lane waited for {at} writes");
    }

    #[test]
    fn an_item_put_back_is_the_next_of_its_lane() {
        let mut lanes = Lanes::default();
        lanes.push(1, "a");
        lanes.push(1, "b");
        let (lane, item) = lanes.take().unwrap();
        lanes.put_back(lane, item);
        assert_eq!(lanes.take(), Some((1, "a")));
    }
}
