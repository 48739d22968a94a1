//! Random conversations over the WebSocket decoder: cut anywhere, hostile, and beside another implementation.
//!
//! Owns the number of cases. The checks themselves are in `checks.rs`, where the fuzz targets find them too.

mod checks;
mod compressed;
mod script;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_conversation_cut_at_random_places_says_the_same(
        seed in prop::collection::vec(any::<u8>(), 0..200),
        cuts in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        checks::cuts_change_nothing(&script::stream(&seed), &cuts);
    }

    #[test]
    fn random_bytes_never_panic_and_cut_anywhere_say_the_same(
        stream in prop::collection::vec(any::<u8>(), 0..600),
        cuts in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        checks::cuts_change_nothing(&stream, &cuts);
    }

    #[test]
    fn a_stream_means_to_tungstenite_what_it_means_to_us(seed in prop::collection::vec(any::<u8>(), 0..300)) {
        checks::tungstenite_agrees(&script::stream(&seed));
    }

    #[test]
    fn a_conversation_without_an_offence_is_heard_whole(
        texts in prop::collection::vec(("\\PC{0,40}", 1_usize..5, any::<[u8; 4]>()), 1..10),
        cuts in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        let mut stream = Vec::new();
        for (text, fragments, key) in &texts {
            script::push_message(&mut stream, text.as_bytes(), *fragments, *key);
        }
        let heard = checks::hear_in_pieces(&stream, &cuts, false);
        let expected: Vec<_> = texts.iter().map(|(text, ..)| checks::Said::Text(text.clone())).collect();
        prop_assert_eq!(heard, (expected, None));
    }
}
