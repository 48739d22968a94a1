//! Letters in memory: found, bounded, and with their history.

use tapeline_schema::events::DeadLetterReason;

use super::*;
use crate::testing::letter;

#[test]
fn letters_are_found_by_name_reason_component_and_time() {
    let letters = MemoryLetters::default();
    let ids: Vec<_> = [DeadLetterReason::Timeout, DeadLetterReason::Panic, DeadLetterReason::Timeout]
        .into_iter()
        .zip(0..)
        .map(|(reason, number)| letters.put(letter("trade", number, reason)).unwrap())
        .collect();
    let found = |filter: Filter| letters.list(&filter, 9).iter().map(|(id, _)| *id).collect::<Vec<_>>();
    assert_eq!(found(Filter { id: Some(ids[1]), ..Filter::default() }), [ids[1]]);
    assert_eq!(
        found(Filter { reason: Some(DeadLetterReason::Timeout), ..Filter::default() }),
        [ids[0], ids[2]]
    );
    assert_eq!(
        found(Filter { component: Some("other".into()), ..Filter::default() }),
        Vec::<LetterId>::new()
    );
    assert_eq!(found(Filter { since_us: Some(2), until_us: Some(3), ..Filter::default() }), [ids[1]]);
    let kept = letters.kept();
    assert_eq!(kept.letters[&("risk".into(), "timeout")], 2);
    assert_eq!(kept.oldest_us, Some(1));
}

#[test]
fn bytes_are_bounded_too() {
    let letters = MemoryLetters::new(MemoryBounds { letters: 100, bytes: 1_000 });
    for number in 0..10 {
        let _ = letters.put(letter("trade", number, DeadLetterReason::Timeout));
    }
    let kept = letters.kept();
    assert!(kept.bytes <= 1_000 && kept.evicted > 0, "{kept:?}");
}

#[test]
fn a_letter_tells_of_its_earlier_times_the_last_ones_only() {
    let mut letter = letter("trade", 1, DeadLetterReason::Timeout);
    for attempts in 0..20 {
        letter.attempts = attempts;
        letter.history = letter.history_with_this();
    }
    let told: Vec<_> = letter.history.iter().map(|earlier| earlier.attempts).collect();
    assert_eq!(told, (12..20).collect::<Vec<_>>());
}

#[test]
fn one_component_leaves_the_next_as_much_room_as_it_has() {
    let letters = MemoryLetters::new(MemoryBounds { letters: 12, ..MemoryBounds::default() });
    let fill = |component: &str| {
        let of = |number| {
            let letter = letter("executions", number, DeadLetterReason::Timeout);
            letters.put(Letter { component: component.into(), ..letter })
        };
        (0..20).map_while(|number| of(number).ok()).count()
    };
    assert_eq!([fill("one"), fill("two"), fill("three")], [6, 3, 2]);
    for (id, _) in letters.list(&Filter { component: Some("one".into()), ..Filter::default() }, 20) {
        assert!(letters.take(id).is_some());
    }
    assert_eq!(fill("three"), 3, "room that was given back is shared anew");
}
