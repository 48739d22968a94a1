//! Raw requests, good and faulty, each on a connection of its own; and publishes smuggled behind and inside of faulty ones,
//! which must never be published.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::bystander::attack;
use crate::support::Hub;
use crate::support::collections::{RawRequest, raw_requests};

/// Longer than an answer takes; the listener hangs if it takes longer.
const ANSWER: Duration = Duration::from_secs(30);
/// What nobody may ever get published.
const SMUGGLED: &str = "smuggled";

/// What became of a connection.
struct Outcome {
    statuses: Vec<u16>,
    ended: bool,
}

/// Sends these bytes and that there are no more, and reads to the end.
fn offer(hub: &Hub, bytes: &[u8]) -> Outcome {
    let mut stream = TcpStream::connect(hub.address()).expect("the hub accepts connections");
    // A hub that has refused a request need not read the rest of it.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let (mut read, mut buffer, end) = (Vec::new(), [0; 16 << 10], Instant::now() + ANSWER);
    let ended = loop {
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).expect("a time-out can be set");
        match stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break false,
            Err(_) => break true,
        }
    };
    let text = String::from_utf8_lossy(&read);
    let heads = text.split("HTTP/1.").skip(1).filter_map(|rest| rest.get(2..5)?.parse().ok());
    Outcome { statuses: heads.collect(), ended }
}

/// The request with another method and target, and a host that is the hub's, so that it would be acted on.
fn aimed(hub: &Hub, bytes: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = bytes.iter().copied().skip_while(|byte| b"\r\n".contains(byte)).collect();
    let end = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
    let (line, rest) = text.split_at(end);
    let version = line.iter().rposition(|byte| *byte == b' ').map_or(&b" HTTP/1.1\r\n"[..], |at| &line[at..]);
    let mut out = [b"POST /publish", version].concat();
    let has_host =
        rest.split(|byte| *byte == b'\n').any(|line| line.to_ascii_lowercase().starts_with(b"host:"));
    if !has_host {
        out.extend_from_slice(format!("Host: {}\r\n", hub.address()).as_bytes());
        out.extend_from_slice(rest);
        return out;
    }
    for line in rest.split_inclusive(|byte| *byte == b'\n') {
        if line.to_ascii_lowercase().starts_with(b"host:") {
            out.extend_from_slice(format!("Host: {}\r\n", hub.address()).as_bytes());
        } else {
            out.extend_from_slice(line);
        }
    }
    out
}

/// A sound publish of what must not be published.
fn smuggled(hub: &Hub) -> String {
    let body = format!(r#"{{"channel":"{SMUGGLED}","data":1}}"#);
    format!(
        "POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
        hub.address(),
        body.len()
    )
}

fn assert_nothing_smuggled(hub: &Hub, after: &str) {
    let last = hub.get(&format!("/last/{SMUGGLED}"));
    assert_eq!(last.status(), 404, "a smuggled publish went through after {after}: {}", last.text());
}

/// A parser that pauses is one that would hand the rest to another protocol, which is no fault.
fn is_faulty(case: &RawRequest) -> bool {
    case.mode == "request" && case.fault.as_deref().is_some_and(|fault| !fault.starts_with("Pause on"))
}

#[test]
fn no_raw_request_hangs_the_listener_and_none_is_acted_on_after_its_fault() {
    let cases = raw_requests();
    attack(|hub, _| {
        let mut table = String::new();
        let mut faults = 0;
        for case in &cases {
            let as_it_is = offer(hub, &case.bytes);
            // A fault in the first line would be gone with it.
            let in_line =
                case.fault.as_deref().is_some_and(|fault| fault.contains("url") || fault.contains("HTTP/"));
            let mut bytes = if in_line { case.bytes.clone() } else { aimed(hub, &case.bytes) };
            if is_faulty(case) {
                bytes.extend_from_slice(smuggled(hub).as_bytes());
            }
            let as_publish = offer(hub, &bytes);
            let acted = is_faulty(case)
                && [&as_it_is, &as_publish].iter().any(|one| one.statuses.iter().any(|s| *s < 300));
            let is_bad = acted || !as_it_is.ended || !as_publish.ended;
            faults += usize::from(is_bad);
            table += &format!(
                "{} {:<10} {:<60} {:?} as it is, {:?} as a publish; {}\n",
                if is_bad { "BAD" } else { "   " },
                case.mode.get(..10).unwrap_or(&case.mode),
                case.name,
                as_it_is.statuses,
                as_publish.statuses,
                case.fault.as_deref().unwrap_or("sound"),
            );
        }
        assert_eq!(faults, 0, "\n{table}");
        assert_nothing_smuggled(hub, "the collection");
    });
}

/// A head and a body that disagree about where the request ends: name, further header lines, body.
const FRAMINGS: &[(&str, &str, &str)] = &[
    ("both lengths", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ("both lengths, the other way", "Transfer-Encoding: chunked\r\nContent-Length: 44\r\n", "0\r\n\r\n"),
    ("two lengths", "Content-Length: 0\r\nContent-Length: 44\r\n", ""),
    ("a list of lengths", "Content-Length: 0, 44\r\n", ""),
    ("a length with a sign", "Content-Length: +0\r\n", ""),
    ("a negative length", "Content-Length: -1\r\n", ""),
    ("a length in hexadecimal", "Content-Length: 0x2c\r\n", ""),
    ("a length beyond all numbers", "Content-Length: 18446744073709551616\r\n", ""),
    ("an empty length", "Content-Length: \r\n", ""),
    ("a length with a space in its name", "Content-Length : 0\r\n", ""),
    ("an encoding with a space in its name", "Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
    ("an unknown encoding", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
    ("chunked, and then not", "Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
    ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
    ("a folded encoding", "Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
    ("a vertical tab before the encoding", "Transfer-Encoding: \u{b}chunked\r\n", "0\r\n\r\n"),
    ("a chunk's size in hexadecimal", "Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n"),
    ("a chunk's size with a sign", "Transfer-Encoding: chunked\r\n", "-1\r\n\r\n"),
    ("a chunk's size beyond all numbers", "Transfer-Encoding: chunked\r\n", "10000000000000000\r\n\r\n"),
    ("a chunk longer than it says", "Transfer-Encoding: chunked\r\n", "1\r\nab\r\n0\r\n\r\n"),
    ("a bare line feed in a chunk's extension", "Transfer-Encoding: chunked\r\n", "0;a\n\r\n\r\n"),
    ("a bare carriage return after a size", "Transfer-Encoding: chunked\r\n", "0\r\r\n\r\n"),
    ("a bare carriage return in a header", "X: a\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ("a zero byte in a header", "X: a\0b\r\nContent-Length: 0\r\n", ""),
    ("a header without a colon", "X\r\nContent-Length: 0\r\n", ""),
    ("a header without a name", ": x\r\nContent-Length: 0\r\n", ""),
    ("a space before a header", " X: y\r\nContent-Length: 0\r\n", ""),
];

#[test]
fn a_publish_behind_a_length_that_can_be_read_in_two_ways_is_never_published() {
    attack(|hub, _| {
        for (name, headers, body) in FRAMINGS {
            let first = format!("POST /publish HTTP/1.1\r\nHost: {}\r\n{headers}\r\n{body}", hub.address());
            let outcome = offer(hub, (first + &smuggled(hub)).as_bytes());
            assert!(
                outcome.ended && outcome.statuses.iter().all(|status| *status >= 400),
                "{name}: {:?}",
                outcome.statuses
            );
            assert!(outcome.statuses.len() <= 1, "{name} got a second answer: {:?}", outcome.statuses);
            assert_nothing_smuggled(hub, name);
        }
    });
}

#[test]
fn a_target_that_is_not_ascii_is_refused() {
    let hub = Hub::start();
    for target in ["/publish?x=δ", "/δ", "/last/café", "/ws/\u{202e}"] {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", hub.address());
        assert_eq!(offer(&hub, request.as_bytes()).statuses, [400], "{target}");
    }
    assert_eq!(hub.get("/last/caf%C3%A9").refusal().1, "bad_channel");
}
