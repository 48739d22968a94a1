//! Which message is next, who gives way in a full lane, and who is held back by one that waits to be tried again.

use super::*;
use crate::testing::item;

fn lanes(max_size: usize) -> Lanes {
    Lanes::new(&QueueConfig { max_size, ..QueueConfig::default() })
}

fn push(lanes: &mut Lanes, channel: &str, symbol: &str, number: u64) -> Made {
    lanes.push(item(channel, symbol, number), false)
}

fn numbers(lanes: &mut Lanes) -> Vec<u64> {
    std::iter::from_fn(|| lanes.take()).map(|item| item.serial).collect()
}

#[test]
fn critical_ones_are_first_and_the_lowest_waiting_lane_is_served_at_least_every_sixteenth_take() {
    let mut lanes = lanes(1_000);
    for number in 0..200 {
        let _ = push(&mut lanes, "executions", "a", number);
    }
    push(&mut lanes, "heartbeat", "a", 1_000);
    push(&mut lanes, "trade", "a", 1_001);
    let taken = numbers(&mut lanes);
    let at = |number| taken.iter().position(|taken| *taken == number).unwrap() + 1;
    assert_eq!((at(1_000), at(1_001)), (16, 32));
    assert_eq!(at(0), 1);
}

#[test]
fn the_other_lanes_share_as_the_multiplier_says() {
    let mut lanes = lanes(1_000);
    for number in 0..700 {
        for channel in ["ticker", "trade", "heartbeat"] {
            push(&mut lanes, channel, "a", number);
        }
    }
    let mut taken = [0; LANES];
    (0..700).for_each(|_| taken[lanes.take().unwrap().lane()] += 1);
    // 4 : 2 : 1, and every sixteenth goes to the lowest.
    for (lane, wanted) in [(1, 375), (2, 187), (3, 138)] {
        assert!((taken[lane] as i64 - wanted).abs() <= 6, "{taken:?}");
    }
}

#[test]
fn the_critical_lane_holds_its_multiple_and_says_when_it_is_full() {
    let mut lanes = lanes(2);
    for number in 0..4 {
        assert!(!lanes.is_full(0));
        push(&mut lanes, "balances", "a", number);
    }
    assert!(lanes.is_full(0));
    assert_eq!(lanes.waiting(), [4, 0, 0, 0]);
}

#[test]
fn a_full_high_lane_keeps_the_newest_of_each_symbol_and_drops_the_oldest_of_what_cannot_give_way() {
    let mut lanes = lanes(4);
    for number in 0..4 {
        assert_eq!(
            push(&mut lanes, "ticker", if number % 2 == 0 { "a" } else { "b" }, number),
            Made::default()
        );
    }
    // Two of four give way when the lane is swept, and the third to the newcomer.
    assert_eq!(push(&mut lanes, "ticker", "a", 4), Made { conflated: 3, dropped: 0 });
    assert_eq!(push(&mut lanes, "book", "a", 5), Made::default());
    assert_eq!(push(&mut lanes, "book", "b", 6), Made::default());
    assert_eq!(push(&mut lanes, "book", "c", 7), Made { conflated: 0, dropped: 1 });
    assert_eq!(numbers(&mut lanes), [3, 5, 6, 7]);
}

#[test]
fn a_full_medium_lane_drops_the_oldest_and_a_full_low_one_the_newest() {
    for (channel, kept) in [("trade", [1, 2, 3]), ("heartbeat", [0, 1, 2])] {
        let mut lanes = lanes(3);
        let made: Vec<_> = (0..4).map(|number| push(&mut lanes, channel, "a", number).dropped).collect();
        assert_eq!(made, [0, 0, 0, 1]);
        assert_eq!(numbers(&mut lanes), kept, "{channel}");
    }
}

#[test]
fn while_nothing_is_called_only_the_newest_of_what_is_latest_is_kept_in_every_lane() {
    let mut lanes = lanes(10);
    for channel in ["ticker", "status", "trade"] {
        push(&mut lanes, channel, "a", 1);
        push(&mut lanes, channel, "a", 2);
    }
    assert_eq!(lanes.keep_newest(), 2);
    let made = ["ticker", "status", "trade"].map(|channel| lanes.push(item(channel, "a", 3), true).conflated);
    assert_eq!(made, [1, 1, 0]);
    assert_eq!(lanes.waiting(), [0, 1, 4, 0]);
}

#[test]
fn a_message_that_waits_to_be_tried_again_holds_back_only_its_own_channel_and_symbol() {
    let mut lanes = lanes(10);
    for (symbol, number) in [("a", 1), ("a", 2), ("b", 3), ("a", 4)] {
        push(&mut lanes, "trade", symbol, number);
    }
    let first = lanes.take().unwrap();
    lanes.hold(first, 100);
    assert_eq!(numbers(&mut lanes), [3]);
    assert_eq!((lanes.waiting(), lanes.next_due_us()), ([0, 0, 3, 0], Some(100)));
    assert_eq!(lanes.let_due_go(Some(99)), 0);
    assert!(lanes.take().is_none());
    lanes.let_due_go(Some(100));
    push(&mut lanes, "trade", "a", 5);
    let again = lanes.take().unwrap();
    assert_eq!(again.serial, 1);
    assert!(lanes.take().is_none(), "the others wait until its call has ended");
    lanes.release(again.key);
    assert_eq!(numbers(&mut lanes), [2, 4, 5]);
    assert!(lanes.is_empty());
}

#[test]
fn what_is_released_in_part_and_held_again_stays_in_order() {
    let mut lanes = lanes(20);
    for number in 1..=4 {
        let _ = push(&mut lanes, "trade", "a", number);
    }
    let first = lanes.take().unwrap();
    lanes.hold(first, 0);
    assert!(lanes.take().is_none());
    lanes.let_due_go(None);
    let first = lanes.take().unwrap();
    lanes.release(first.key);
    let second = lanes.take().unwrap();
    assert_eq!(second.serial, 2);
    lanes.hold(second, 0);
    push(&mut lanes, "trade", "a", 5);
    assert!(lanes.take().is_none());
    lanes.let_due_go(None);
    let second = lanes.take().unwrap();
    lanes.release(second.key);
    assert_eq!(numbers(&mut lanes), [3, 4, 5]);
}

#[test]
fn what_is_latest_and_to_be_tried_again_gives_way_to_what_came_behind_it() {
    let mut lanes = lanes(10);
    for number in 1..=3 {
        let _ = push(&mut lanes, "ticker", "a", number);
    }
    let first = lanes.take().unwrap();
    lanes.hold(first, 0);
    assert!(lanes.take().is_none());
    assert_eq!(lanes.let_due_go(None), 2);
    assert_eq!(numbers(&mut lanes), [3]);
    assert!(lanes.is_empty());
}

#[test]
fn a_full_lane_finds_the_oldest_among_those_held_back_too() {
    let mut lanes = lanes(3);
    for number in 1..=3 {
        let _ = push(&mut lanes, "trade", "a", number);
    }
    let first = lanes.take().unwrap();
    lanes.hold(first, 0);
    assert!(lanes.take().is_none());
    assert_eq!(push(&mut lanes, "trade", "b", 4).dropped, 1);
    assert_eq!(push(&mut lanes, "trade", "b", 5).dropped, 1);
    assert_eq!(lanes.waiting(), [0, 0, 3, 0]);
    lanes.let_due_go(None);
    assert_eq!(numbers(&mut lanes), [1, 4, 5]);
    assert_eq!(lanes.waiting(), [0; LANES]);
}

#[test]
fn a_drained_lane_gives_everything_in_the_order_in_which_it_came() {
    let mut lanes = lanes(10);
    for number in 1..=3 {
        let _ = push(&mut lanes, "trade", "a", number);
    }
    push(&mut lanes, "ticker", "a", 4);
    let first = lanes.take().unwrap();
    lanes.hold(first, 9);
    let drained: Vec<_> = lanes.drain().iter().map(|item| item.serial).collect();
    assert_eq!(drained, [1, 2, 3, 4]);
    assert!(lanes.is_empty());
}

#[test]
fn a_lane_that_is_full_again_gives_up_what_is_older_before_anything_else() {
    let mut lanes = lanes(4);
    for (number, symbol) in ["a", "b", "c", "d", "a"].into_iter().enumerate() {
        push(&mut lanes, "ticker", symbol, number as u64);
    }
    // There is room for one; it is filled with a repeat while the index still lives.
    assert_eq!(lanes.take().unwrap().serial, 4);
    push(&mut lanes, "ticker", "b", 5);
    assert_eq!(lanes.waiting(), [0, 4, 0, 0]);
    let made = push(&mut lanes, "ticker", "e", 6);
    assert_eq!(made, Made { conflated: 1, dropped: 0 });
    assert_eq!(numbers(&mut lanes), [2, 3, 5, 6]);
}
