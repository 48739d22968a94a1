//! Tokens of the commands: given, missing, refused, renewed. The hub here plays a script, so that a token ends when the test
//! wants it to.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail loudly")]

mod commands {
    #[expect(dead_code, reason = "other tests use the rest")]
    pub(crate) mod program;
}

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use commands::program::{Outcome, Program, run, run_with_token};
use serde_json::{Value, json};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

const REFUSAL: &str = r#"{"error":{"code":"invalid_token","message":"the test says no"}}"#;

struct Script {
    listener: TcpListener,
    url: String,
}

impl Script {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Script { listener, url }
    }

    fn accept(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// The next WebSocket, and what it brought.
    fn socket(&self) -> (WebSocket<TcpStream>, String) {
        let mut given = String::new();
        #[expect(clippy::result_large_err, reason = "the library asks for this one")]
        let read = |request: &Request, response: Response| {
            let header = request.headers().get("authorization");
            given = header.map_or_else(String::new, |value| value.to_str().unwrap().to_string());
            Ok(response)
        };
        let socket = tungstenite::accept_hdr(self.accept(), read).unwrap();
        (socket, given)
    }

    /// Answers one request; answers what it says.
    fn answer(&self, status: &str, body: &str) -> String {
        let mut stream = self.accept();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let asked = String::from_utf8_lossy(&head).to_lowercase();
        let length = asked.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next());
        let mut given = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut given).unwrap();
        head.extend(given);
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(head).unwrap()
    }
}

fn hears(socket: &mut WebSocket<TcpStream>) -> Value {
    loop {
        if let Message::Text(text) = socket.read().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

fn says(socket: &mut WebSocket<TcpStream>, frame: &Value) {
    socket.send(Message::text(frame.to_string())).unwrap();
}

fn token_file(name: &str, token: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, format!("{token}\n")).unwrap();
    path
}

/// What a command says to a hub that refuses it, and the head of its request.
fn refused(token: Option<&str>, args: &[&str]) -> (Outcome, String) {
    let script = Script::start();
    let args = [args, &["--url", &script.url]].concat();
    std::thread::scope(|scope| {
        let head = scope.spawn(|| script.answer("401 Unauthorized", REFUSAL));
        let outcome = token.map_or_else(|| run(&args), |token| run_with_token(token, &args));
        (outcome, head.join().unwrap().to_lowercase())
    })
}

const COMMANDS: [&[&str]; 9] = [
    &["pub", "notes", "1"],
    &["sub", "notes"],
    &["stats"],
    &["top", "--once"],
    &["types", "--lang", "ts"],
    &["channel", "list"],
    &["dlq", "list"],
    &["config", "reload"],
    &["monitor", "training", "--once"],
];

#[test]
fn every_command_that_is_refused_for_want_of_a_token_says_what_to_give() {
    for command in COMMANDS {
        let (outcome, head) = refused(None, command);
        assert_eq!(outcome.code, Some(1), "{command:?}");
        assert!(!head.contains("authorization"), "{command:?}: {head}");
        let told = "the test says no";
        let remedy = "the hub wants a token: give --token-file or --token, or set TAPELINE_TOKEN";
        assert!(outcome.err.contains(told) && outcome.err.contains(remedy), "{command:?}: {}", outcome.err);
    }
}

#[test]
fn every_command_sends_the_token_of_the_environment_and_prints_it_nowhere() {
    for command in COMMANDS {
        let (outcome, head) = refused(Some("tk_secret"), command);
        assert!(head.contains("authorization: bearer tk_secret\r\n"), "{command:?}: {head}");
        let remedy = "the hub does not take the token; tapeline token show says what is in it";
        assert!(outcome.err.contains(remedy), "{command:?}: {}", outcome.err);
        assert!(!outcome.err.contains("tk_secret") && !outcome.out.contains("tk_secret"), "{command:?}");
    }
}

#[test]
fn a_token_is_given_in_one_way_and_in_full() {
    let file = token_file("flags.token", "tk_file");
    let file = file.to_str().unwrap();
    let (_, head) = refused(Some("tk_variable"), &["stats", "--token-file", file]);
    assert!(head.contains("bearer tk_file\r\n"), "{head}");
    let (_, head) = refused(None, &["stats", "--token", "tk_flag"]);
    assert!(head.contains("bearer tk_flag\r\n"), "{head}");
    let cases: [(&[&str], &str); 3] = [
        (&["stats", "--token", "a", "--token-file", file], "cannot be used with"),
        (&["stats", "--token-file", "no/such/file"], "the token file no/such/file cannot be read"),
        (&["stats", "--token", "two words"], "--token holds no token"),
    ];
    for (command, expected) in cases {
        let outcome = run(command);
        assert!(!outcome.ok && outcome.err.contains(expected), "{command:?}: {}", outcome.err);
    }
}

#[test]
fn a_subscription_goes_on_through_the_end_of_its_token() {
    let script = Script::start();
    let file = token_file("sub.token", "one");
    let args = ["sub", "notes", "--count", "2", "--token-file", file.to_str().unwrap(), "--url", &script.url];
    let mut sub = Program::start(&args);
    let message = |offset| {
        json!({"type": "message", "channel": "notes", "data": offset, "id": "i",
        "timestamp": "2026-01-01T12:00:00.000000Z", "offset": offset, "epoch": "e"})
    };
    let confirm = |socket: &mut WebSocket<TcpStream>| {
        let asked = hears(socket);
        assert_eq!(asked["action"], "subscribe");
        says(
            socket,
            &json!({"type": "subscription_confirmed", "channel": "notes", "offset": 0, "epoch": "e", "req": asked["req"]}),
        );
        asked
    };
    let (mut socket, given) = script.socket();
    assert_eq!(given, "Bearer one");
    confirm(&mut socket);
    token_file("sub.token", "two");
    says(&mut socket, &json!({"type": "token_expiring", "in_s": 60}));
    let renewed = hears(&mut socket);
    assert_eq!((&renewed["action"], &renewed["token"]), (&json!("token"), &json!("two")));
    says(&mut socket, &json!({"type": "token_ok", "expires_at": "2026-01-01T13:00:00Z"}));
    sub.err_line_with("the hub takes the token, until 2026-01-01T13:00:00Z");
    says(&mut socket, &message(1));
    assert!(sub.line().ends_with("notes 1 message 1"));
    // Now it is too late for the file.
    let frame = CloseFrame { code: 4001.into(), reason: "the token expired".into() };
    socket.close(Some(frame)).unwrap();
    let head = script.answer("401 Unauthorized", REFUSAL).to_lowercase();
    assert!(head.contains("bearer two\r\n"), "{head}");
    token_file("sub.token", "three");
    let (mut socket, given) = script.socket();
    assert_eq!(given, "Bearer three");
    assert_eq!(confirm(&mut socket)["since"], json!({"offset": 1, "epoch": "e"}));
    says(&mut socket, &message(2));
    assert!(sub.line().ends_with("notes 2 message 2"));
    assert!(sub.end().0);
}

#[test]
fn a_subscription_whose_token_cannot_be_renewed_ends_with_it() {
    let script = Script::start();
    let sub = Program::start(&["sub", "notes", "--token", "one", "--url", &script.url]);
    let (mut socket, _) = script.socket();
    hears(&mut socket);
    says(&mut socket, &json!({"type": "token_expiring", "in_s": 60}));
    let frame = CloseFrame { code: 4001.into(), reason: "the token expired".into() };
    socket.close(Some(frame)).unwrap();
    script.answer("401 Unauthorized", REFUSAL);
    let (ok, err) = sub.end();
    assert!(!ok && err.contains("with --token-file the file is read again"), "{err}");
    assert!(err.contains("the hub does not take the token"), "{err}");
}

#[test]
fn tokens_are_taken_back_by_whose_they_are_or_by_their_id() {
    let script = Script::start();
    let asks = |words: &[&str], answer: &str| {
        let args = [&["token"], words, &["--url", &script.url]].concat();
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| script.answer("200 OK", answer));
            let outcome = run_with_token("tk_admin", &args);
            assert!(outcome.ok, "{outcome:?}");
            (asked.join().unwrap(), outcome.out)
        })
    };
    let kept = r#"{"subject":"ann","at":"2026-01-01T00:00:00Z"}"#;
    let (asked, told) = asks(&["revoke", "--subject", "ann"], kept);
    assert!(
        asked.starts_with("POST /admin/revocations ") && asked.ends_with(r#"{"subject":"ann"}"#),
        "{asked}"
    );
    assert!(asked.to_lowercase().contains("bearer tk_admin"), "{asked}");
    assert_eq!(told, "tokens of ann: taken back at 2026-01-01T00:00:00Z, for good\n");
    let kept = r#"{"token_id":"a8c1","at":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}"#;
    let (asked, told) = asks(&["revoke", "--token-id", "a8c1"], kept);
    assert!(asked.ends_with(r#"{"token_id":"a8c1"}"#), "{asked}");
    let line = "token a8c1: taken back at 2026-01-01T00:00:00Z, remembered until 2026-01-02T00:00:00Z\n";
    assert_eq!(told, line);
    let (asked, told) = asks(&["revocations"], &format!(r#"{{"revocations":[{kept}]}}"#));
    assert!(asked.starts_with("GET /admin/revocations "), "{asked}");
    assert_eq!(told, line);
    assert!(!run(&["token", "revoke", "--url", &script.url]).ok, "of two one");
}
