//! The request decoder: what it takes, what it refuses in Redis' own words, and that the way bytes are cut changes nothing.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { arguments: 100, argument_bytes: 1 << 20, command_bytes: 2 << 20 };

type Words = Vec<Vec<u8>>;

/// What a decoder makes of bytes that come in these pieces: commands, and what ended them.
fn decode(decoder: &mut Decoder, pieces: &[&[u8]]) -> (Vec<Words>, Option<ProtocolError>) {
    let mut all = Vec::new();
    for piece in pieces {
        let mut commands = decoder.feed(piece);
        loop {
            match commands.next() {
                Ok(Some(command)) => all.push(command.from(0).map(<[u8]>::to_vec).collect()),
                Ok(None) => break,
                Err(error) => return (all, Some(error)),
            }
        }
        assert_eq!(commands.consumed(), piece.len());
    }
    (all, None)
}

fn whole(bytes: &[u8]) -> (Vec<Words>, Option<ProtocolError>) {
    decode(&mut Decoder::new(LIMITS), &[bytes])
}

fn words(texts: &[&str]) -> Words {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn arrays_and_lines_are_commands() {
    let (commands, error) =
        whole(b"*2\r\n$4\r\nECHO\r\n$4\r\na\r\nb\r\nPING \"a b\"\n\r\n*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n");
    assert_eq!(commands, [words(&["ECHO", "a\r\nb"]), words(&["PING", "a b"]), words(&["PING"])]);
    assert_eq!(error, None);
}

#[test]
fn what_breaks_the_protocol_is_said_in_redis_own_words() {
    let long = [b'a'; LINE_BYTES + 2];
    let long_count = [b"*".to_vec(), long.to_vec()].concat();
    let long_length = [b"*1\r\n$".to_vec(), long.to_vec()].concat();
    for (bytes, text) in [
        (&b"*x\r\n"[..], "Protocol error: invalid multibulk length"),
        (b"*101\r\n", "Protocol error: invalid multibulk length"),
        (b"*3000000000\r\n", "Protocol error: invalid multibulk length"),
        (b"*1\r\n:5\r\n", "Protocol error: expected '$', got ':'"),
        (b"*1\r\n\r\n", "Protocol error: expected '$', got '?'"),
        (b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
        (b"*1\r\n$x\r\n", "Protocol error: invalid bulk length"),
        (b"*1\r\n$1048577\r\n", "Protocol error: invalid bulk length"),
        (b"*1\r\n$99999999999999999999\r\n", "Protocol error: invalid bulk length"),
        (b"set \"a\n", "Protocol error: unbalanced quotes in request"),
        (&long, "Protocol error: too big inline request"),
        (&long_count, "Protocol error: too big mbulk count string"),
        (&long_length, "Protocol error: too big bulk count string"),
    ] {
        let (commands, error) = whole(bytes);
        assert!(commands.is_empty());
        assert_eq!(error.unwrap().to_string(), text, "{}", bytes[..bytes.len().min(20)].escape_ascii());
    }
}

#[test]
fn little_is_taken_from_a_stranger() {
    let mut decoder = Decoder::new(LIMITS);
    decoder.set_stranger(true);
    let refused = |bytes: &[u8]| {
        let mut decoder = Decoder::new(LIMITS);
        decoder.set_stranger(true);
        decode(&mut decoder, &[bytes]).1.unwrap().to_string()
    };
    assert_eq!(refused(b"*11\r\n"), "Protocol error: unauthenticated multibulk length");
    assert_eq!(refused(b"*1\r\n$16385\r\n"), "Protocol error: unauthenticated bulk length");
    assert_eq!(decode(&mut decoder, &[b"*10\r\n$16384\r\n"]).1, None);
}

#[test]
fn all_arguments_together_have_a_limit() {
    let mut bytes = b"*3\r\n".to_vec();
    for _ in 0..3 {
        bytes.extend_from_slice(b"$1000000\r\n");
        bytes.resize(bytes.len() + 1_000_000, b'x');
        bytes.extend_from_slice(b"\r\n");
    }
    assert_eq!(whole(&bytes).1, Some(ProtocolError::RequestTooBig));
}

#[test]
fn a_length_takes_no_memory_before_its_bytes_come() {
    let mut decoder = Decoder::new(LIMITS);
    assert_eq!(decode(&mut decoder, &[b"*2\r\n$1048576\r\n"]), (vec![], None));
    assert!(decoder.kept.capacity() < 64, "{}", decoder.kept.capacity());
    assert!(!decoder.is_between_commands());
}

#[test]
fn what_is_not_taken_out_is_offered_again() {
    let bytes = b"PING\r\nECHO a\r\nECHO b\r\nEC";
    let mut decoder = Decoder::new(LIMITS);
    let mut commands = decoder.feed(bytes);
    assert_eq!(commands.next().unwrap().unwrap().argument(0), b"PING");
    assert_eq!(commands.consumed(), 6);
    drop(commands);
    assert_eq!(
        decode(&mut decoder, &[&bytes[6..], b"HO c\r\nECHO d\r\n"]).0,
        [words(&["ECHO", "a"]), words(&["ECHO", "b"]), words(&["ECHO", "c"]), words(&["ECHO", "d"])]
    );
    // What was taken while a beginning was kept stays with the decoder.
    let mut decoder = Decoder::new(LIMITS);
    assert_eq!(decode(&mut decoder, &[b"PI"]), (vec![], None));
    let mut commands = decoder.feed(b"NG\r\nECHO a\r\nEC");
    assert_eq!(commands.next().unwrap().unwrap().argument(0), b"PING");
    assert_eq!(commands.consumed(), 14);
    drop(commands);
    assert_eq!(decode(&mut decoder, &[b"", b"HO b\r\n"]).0, [words(&["ECHO", "a"]), words(&["ECHO", "b"])]);
}

#[test]
fn a_large_buffer_is_given_back() {
    let mut decoder = Decoder::new(LIMITS);
    let value = vec![b'x'; 500_000];
    let head = format!("*1\r\n${}\r\n", value.len());
    let (commands, _) = decode(&mut decoder, &[head.as_bytes(), &value, b"\r\n"]);
    assert_eq!(commands[0][0].len(), value.len());
    assert_eq!(decoder.kept.capacity(), 0);
    let many = [&b"*100\r\n"[..], &b"$1\r\na\r\n".repeat(100)].concat();
    decode(&mut decoder, &[&many]);
    decode(&mut decoder, &[&[&b"a".repeat(20_000)[..], b"\n"].concat()]);
    assert!(decoder.begun.arguments.capacity() <= KEPT_ARGUMENTS);
    assert!(decoder.begun.inline.capacity() <= KEPT_INLINE_BYTES);
}

/// Bytes that are mostly commands, with what breaks them in between.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let argument = proptest::collection::vec(any::<u8>(), 0..20);
    let array = proptest::collection::vec(argument, 0..4).prop_map(|arguments| {
        let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            out.extend_from_slice(&argument);
            out.extend_from_slice(b"\r\n");
        }
        out
    });
    let line = "[a-z \"'\\\\x0-9]{0,12}\r?\n".prop_map(String::into_bytes);
    let noise = proptest::collection::vec(
        prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), any::<u8>()],
        0..6,
    );
    let piece = prop_oneof![8 => array, 4 => line, 1 => noise];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_way_bytes_are_cut_changes_nothing(bytes in bytes(), cuts in proptest::collection::vec(0_usize..200, 0..6)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        prop_assert_eq!(decode(&mut Decoder::new(LIMITS), &pieces), whole(&bytes));
    }
}
