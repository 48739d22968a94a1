//! Packets as the protocol's page writes them, and what no packet may be.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> (Kind, u32, &str, Option<u64>, Option<&str>) {
    let packet = Packet::parse(text).unwrap();
    (packet.kind, packet.attachments, packet.namespace, packet.ack, packet.payload)
}

#[test]
fn the_packets_of_the_protocols_page_are_read() {
    use Kind::*;
    assert_eq!(read("0"), (Connect, 0, "/", None, None));
    assert_eq!(read("0{\"token\":\"x\"}"), (Connect, 0, "/", None, Some("{\"token\":\"x\"}")));
    assert_eq!(read("0/admin,{}"), (Connect, 0, "/admin", None, Some("{}")));
    assert_eq!(read("0/random"), (Connect, 0, "/random", None, None));
    assert_eq!(read("1/admin,"), (Disconnect, 0, "/admin", None, None));
    assert_eq!(read("2[\"foo\"]"), (Event, 0, "/", None, Some("[\"foo\"]")));
    assert_eq!(read("212[\"foo\"]"), (Event, 0, "/", Some(12), Some("[\"foo\"]")));
    assert_eq!(read("2/admin,13[\"x\"]"), (Event, 0, "/admin", Some(13), Some("[\"x\"]")));
    assert_eq!(read("3/admin,13[]"), (Ack, 0, "/admin", Some(13), Some("[]")));
    let with = "[\"baz\",{\"_placeholder\":true,\"num\":0}]";
    assert_eq!(read(&format!("51-{with}")), (BinaryEvent, 1, "/", None, Some(with)));
    assert_eq!(read("61-/admin,15[1]"), (BinaryAck, 1, "/admin", Some(15), Some("[1]")));
    assert_eq!(read("50-[\"a\"]"), (BinaryEvent, 0, "/", None, Some("[\"a\"]")));
}

#[test]
fn what_is_no_packet_is_refused_by_its_fault() {
    for (text, fault) in [
        ("", Broken::Type),
        ("abc", Broken::Type),
        ("7", Broken::Type),
        ("5[\"a\"]", Broken::Attachments),
        ("5-[\"a\"]", Broken::Attachments),
        ("51[\"a\"]", Broken::Attachments),
        ("511-[\"a\"]", Broken::TooManyAttachments),
        ("599999999999-[\"a\"]", Broken::TooManyAttachments),
        ("299999999999999999999999[\"a\"]", Broken::Ack),
        ("2", Broken::Payload),
        ("2{}", Broken::Payload),
        ("2abc[\"a\"]", Broken::Payload),
        ("2[\"a\"", Broken::Payload),
        ("2[\"a\"]x", Broken::Payload),
        ("3[]", Broken::Payload),
        ("31{}", Broken::Payload),
        ("0[]", Broken::Payload),
        ("0\"a\"", Broken::Payload),
        ("1[]", Broken::Payload),
        ("4{\"message\":\"m\"}", Broken::Payload),
    ] {
        assert_eq!(Packet::parse(text).map(|packet| packet.kind), Err(fault), "{text}");
    }
    assert_eq!(Packet::parse(&format!("0/{}", "n".repeat(128))).err(), Some(Broken::Namespace));
}

#[test]
fn a_head_is_read_without_its_payload() {
    let packet = Packet::head("2/admin,13[\"x\"").unwrap();
    assert_eq!((packet.namespace, packet.ack, packet.payload), ("/admin", Some(13), Some("[\"x\"")));
    assert_eq!(packet.check(), Err(Broken::Payload));
}

#[test]
fn an_event_has_a_name_that_is_not_reserved() {
    let first = event("[\"a\\n\",1.50,{\"b\": 2}]").unwrap();
    assert_eq!(&*first.name, "a\n");
    assert_eq!(first.arguments.iter().map(|raw| raw.get()).collect::<Vec<_>>(), ["1.50", "{\"b\": 2}"]);
    assert_eq!(&*event("[7]").unwrap().name, "7");
    for payload in ["[]", "[null]", "[{}]", "[[\"a\"]]", "{}", "[\"a\""] {
        assert_eq!(event(payload).err(), Some(Broken::Payload), "{payload}");
    }
    for name in RESERVED_NAMES {
        assert_eq!(event(&format!("[\"{name}\"]")).err(), Some(Broken::Reserved));
    }
}

const RESERVED_NAMES: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

#[test]
fn placeholders_name_attachments_that_come() {
    let one = "[\"a\",[{\"b\":{\"_placeholder\":true,\"num\":0}}]]";
    assert_eq!(check_placeholders(one, 1), Ok(()));
    assert_eq!(check_placeholders(one, 0), Err(Broken::Placeholder));
    for number in ["1", "-1", "0.5", "\"0\"", "null"] {
        let payload = format!("[\"a\",{{\"_placeholder\":true,\"num\":{number}}}]");
        assert_eq!(check_placeholders(&payload, 1), Err(Broken::Placeholder), "{number}");
    }
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(check_placeholders(&deep, 1), Err(Broken::Payload));
    assert!(event(&format!("[\"a\",{deep}]")).is_ok());
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        kind in prop_oneof![Just(Kind::Event), Just(Kind::BinaryEvent)],
        attachments in 0_usize..=10,
        namespace in "/[a-z]{0,9}",
        ack in proptest::option::of(any::<u64>()),
        name in "[a-z\"\\\\é]{1,9}",
    ) {
        let mut out = Vec::new();
        let payload = serde_json::to_string(&vec![name]).unwrap();
        push_head(&mut out, kind, attachments, &namespace, ack);
        out.extend_from_slice(payload.as_bytes());
        let text = String::from_utf8(out).unwrap();
        let packet = Packet::parse(text.strip_prefix('4').unwrap()).unwrap();
        let expected = if kind.is_binary() { attachments as u32 } else { 0 };
        prop_assert_eq!(packet, Packet { kind, attachments: expected, namespace: &namespace, ack, payload: Some(&payload) });
    }

    #[test]
    fn nothing_breaks_the_reader(text in "[0-7]?[0-9]{0,2}-?(/[a-z,]{0,3})?[0-9]{0,3}.{0,9}") {
        if let Ok(packet) = Packet::parse(&text) {
            let payload = packet.payload.unwrap_or_default();
            let _ = event(payload);
            let _ = check_placeholders(payload, packet.attachments);
        }
    }
}
