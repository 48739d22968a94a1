//! The fuzz target `resp` without a fuzzer: its check over kept input, and over damaged copies of it.

mod checks;

use checks::check;
use proptest::prelude::*;

/// What Redis clients send, behind how it is cut.
const REQUESTS: &[&[u8]] = &[
    b"\x03*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$5\r\nhello\r\n*1\r\n$4\r\nPING\r\n",
    b"\x01PING\r\nSET \"a \\x41\" 'b\\'c'\r\n\r\n*0\r\nGET k\n",
    b"\x07*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*-1\r\n*1\r\n$4097\r\n",
    b"\x02*11\r\n$3\r\nDEL\r\n*x\r\n",
    b"\x05SET \"a\"b\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n",
];

#[test]
fn kept_requests_are_read_the_same_however_they_are_cut() {
    REQUESTS.iter().for_each(|request| check(request));
    check(b"");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_requests_are_too(
        which in 0..REQUESTS.len(),
        other in 0..REQUESTS.len(),
        at in 0_usize..60,
        cut in any::<u8>(),
        byte in prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'*'), Just(b'$'), Just(b'9'), any::<u8>()],
    ) {
        let mut bytes = vec![cut];
        bytes.extend(REQUESTS.iter().skip(which).take(1).flat_map(|request| request.iter().skip(1).take(at)));
        bytes.push(byte);
        bytes.extend(REQUESTS.iter().skip(other).take(1).flat_map(|request| request.iter().skip(1)));
        check(&bytes);
    }
}
