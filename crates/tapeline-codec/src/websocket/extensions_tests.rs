//! Offers of permessage-deflate, sound and not, and what answers them.

use super::*;

const BARE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn answered(lines: &[&str]) -> Option<(String, bool)> {
    let headers: Vec<(&str, &str)> = lines.iter().map(|line| ("Sec-WebSocket-Extensions", *line)).collect();
    accept_deflate(&headers.as_slice()).map(|agreement| (agreement.answer(), agreement.takes_shared_frames()))
}

fn bare() -> Option<(String, bool)> {
    Some((BARE.to_owned(), true))
}

fn with_window(bits: u8) -> Option<(String, bool)> {
    Some((format!("{BARE}; server_max_window_bits={bits}"), bits == 15))
}

#[test]
fn what_browsers_and_libraries_offer_is_accepted_without_contexts() {
    for offer in [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=12",
        "permessage-deflate; client_max_window_bits=\"9\"",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "Permessage-Deflate;client_max_window_bits;server_no_context_takeover",
        "x-webkit-deflate-frame, permessage-deflate",
        "permessage-bzip2; level=\"a,b;c\\\",d\" , permessage-deflate",
    ] {
        assert_eq!(answered(&[offer]), bare(), "{offer}");
    }
}

#[test]
fn nothing_is_answered_to_who_offers_nothing_of_ours() {
    for offer in ["", ",", ";", "x-webkit-deflate-frame", "permessage-deflated", "\"permessage-deflate\""] {
        assert_eq!(answered(&[offer]), None, "{offer}");
    }
    assert_eq!(answered(&[]), None);
}

#[test]
fn an_offer_with_an_unsound_parameter_is_declined() {
    for offer in [
        "permessage-deflate; unknown",
        "permessage-deflate; ",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=\"10",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; SERVER_NO_CONTEXT_TAKEOVER",
    ] {
        assert_eq!(answered(&[offer]), None, "{offer}");
        let next = format!("{offer}, permessage-deflate");
        if !offer.contains("\"10") {
            assert_eq!(answered(&[&next]), bare(), "{next}");
        }
    }
}

#[test]
fn a_smaller_window_is_granted_and_gets_plain_frames() {
    for bits in 8..=15 {
        let offer = format!("permessage-deflate; server_max_window_bits={bits}; client_max_window_bits");
        assert_eq!(answered(&[&offer]), with_window(bits));
    }
    assert_eq!(answered(&["permessage-deflate; server_max_window_bits=\"10\""]), with_window(10));
}

#[test]
fn of_several_offers_the_first_that_shared_frames_fit_is_taken() {
    let small = "permessage-deflate; server_max_window_bits=9";
    assert_eq!(answered(&[&format!("{small}, permessage-deflate")]), bare());
    assert_eq!(answered(&[small, "permessage-deflate"]), bare(), "headers may be on lines of their own");
    assert_eq!(
        answered(&[&format!("{small}, permessage-deflate; server_max_window_bits=12")]),
        with_window(9)
    );
    assert_eq!(
        answered(&["permessage-deflate; server_max_window_bits=15, permessage-deflate"]),
        with_window(15)
    );
}
