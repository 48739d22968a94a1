//! Values of the store as Redis' bytes and back.

use proptest::prelude::*;

use super::*;

fn json(bytes: &[u8]) -> String {
    String::from_utf8(to_json(bytes).to_vec()).unwrap()
}

#[test]
fn json_is_kept_as_it_is_and_all_else_as_a_string_or_in_base64() {
    for same in ["1", "-2.50", "true", "null", "[1, 2]", r#"{"a":1}"#, r#"{"data_b64":"x","a":1}"#] {
        assert_eq!(json(same.as_bytes()), same);
    }
    for (bytes, kept) in [
        (&b""[..], r#""""#),
        (b"hello", r#""hello""#),
        (b" 1", r#"" 1""#),
        (b"1\n", r#""1\n""#),
        (b"01", r#""01""#),
        (b"nan", r#""nan""#),
        (b"\"a\"", r#""\"a\"""#),
        (b"{\"data_b64\":\"AA==\"}", r#""{\"data_b64\":\"AA==\"}""#),
        (b"\xff\x00", r#"{"data_b64":"/wA="}"#),
    ] {
        assert_eq!(json(bytes), kept, "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_others_have_written_is_read_as_bytes() {
    for (json, bytes) in [
        (&br#""a\u00e9""#[..], "a\u{e9}".as_bytes()),
        (br#"{"a": 1}"#, br#"{"a": 1}"#),
        (br#"{"data_b64":"no base64"}"#, br#"{"data_b64":"no base64"}"#),
        (b"1.0", b"1.0"),
    ] {
        assert_eq!(&*to_bytes(json), bytes);
    }
}

#[test]
fn a_hash_is_an_object() {
    let mut fields = Fields::of(&Bytes::from_static(br#"{"b":1,"a":{"x":[1]},"b":2}"#)).unwrap();
    assert_eq!(fields.get(b"b").unwrap(), &b"2"[..]);
    assert_eq!(fields.get(b"a").unwrap(), &br#"{"x":[1]}"#[..]);
    assert!(fields.set(b"c", b"\xff").unwrap());
    assert!(!fields.set(b"b", b"text").unwrap());
    assert!(fields.set(b"data_b64", b"1").is_err() && fields.set(b"\xff", b"1").is_err());
    assert!(fields.remove(b"a") && !fields.remove(b"a"));
    assert_eq!(fields.to_json(), r#"{"b":"text","c":{"data_b64":"/w=="}}"#);
    assert_eq!(fields.get(b"c").unwrap(), &b"\xff"[..]);
    for other in [&b"1"[..], b"[]", b"\"{}\"", br#"{"data_b64":"/w=="}"#] {
        assert_eq!(Fields::of(&Bytes::from_static(other)), None);
    }
}

#[test]
fn one_field_is_found_as_if_all_were_taken_apart() {
    let json = Bytes::from_static(br#"{ "b" : 1,"a":{"x":[1]},"b":"\u0032","\u0063":{"data_b64":"/w=="}}"#);
    let fields = Fields::of(&json).unwrap();
    for name in [&b"a"[..], b"b", b"c", b"x", b"", b"\xff"] {
        assert_eq!(field(&json, name), Some(fields.get(name)), "{}", name.escape_ascii());
    }
    assert_eq!(field(&json, b"b").unwrap().unwrap(), &b"2"[..]);
    assert_eq!(field_count(&json), Some(3));
    for other in [&b"1"[..], b"[]", b"\"{}\"", br#"{"data_b64":"/w=="}"#] {
        assert_eq!((field(&Bytes::from_static(other), b"a"), field_count(other)), (None, None));
    }
}

#[test]
fn a_hundred_thousand_fields_are_set_read_and_removed_in_no_time() {
    let began = std::time::Instant::now();
    let mut fields = Fields::default();
    let name = |n: u32| format!("field{n}").into_bytes();
    assert!((0..100_000).all(|n| fields.set(&name(n), b"1").unwrap()));
    let mut fields = Fields::of(&fields.to_json()).unwrap();
    assert!((0..100_000).all(|n| fields.get(&name(n)).is_some()));
    assert!((1..100_000).all(|n| fields.remove(&name(n))));
    assert_eq!((fields.len(), fields.to_json()), (1, Bytes::from_static(br#"{"field0":1}"#)));
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
}

proptest! {
    #[test]
    fn what_is_set_is_read(bytes in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[\\[\\]{}\",:0-9a-z.e \\\\-]{0,12}".prop_map(String::into_bytes),
    ]) {
        let json = to_json(&bytes);
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok() || bytes.len() > 30);
        prop_assert_eq!(&*to_bytes(&json), &*bytes);
        let mut fields = Fields::default();
        prop_assert!(fields.set(b"f", &bytes).unwrap());
        let again = Fields::of(&fields.to_json()).unwrap();
        prop_assert_eq!(again.get(b"f").unwrap(), bytes);
    }
}
