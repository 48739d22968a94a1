//! Each door's clients, fed with what servers say, whole and cut at every byte.

use super::*;

const PLAN_CHANNEL: &str = "bench:0000";

/// Keeps what a workload would be told.
#[derive(Default)]
struct Told {
    messages: Vec<String>,
    answers: usize,
}

impl Hear for Told {
    fn on_text(&mut self, _client: usize, payload: &[u8], _now_ns: u64) {
        self.messages.push(String::from_utf8(payload.to_vec()).unwrap());
    }

    fn on_answer(&mut self, _client: usize, _now_ns: u64) {
        self.answers += 1;
    }
}

struct Client {
    plan: Plan,
    speech: Speech,
    stage: Stage,
    held: Vec<u8>,
    told: Told,
}

impl Client {
    fn new(door: Door, channels: &[&str]) -> Self {
        let channels: Vec<String> = channels.iter().map(|&channel| channel.to_owned()).collect();
        let plan = Plan::at(door, &channels);
        let mut speech = Speech::new(door);
        assert!(!speech.opening("hub:1", &plan).is_empty());
        Self { plan, speech, stage: Stage::Opening, held: Vec::new(), told: Told::default() }
    }

    /// Hears `bytes` in pieces of `size`; answers what it says in return.
    fn hear(&mut self, bytes: &[u8], size: usize) -> Result<Vec<u8>> {
        let mut said = Vec::new();
        for piece in bytes.chunks(size) {
            self.held.extend_from_slice(piece);
            let mut turn = Turn {
                stage: &mut self.stage,
                plan: &self.plan,
                say: Vec::new(),
                client: 0,
                now_ns: 0,
                hear: &mut self.told,
            };
            let used = self.speech.hear(&self.held, &mut turn)?;
            said.extend_from_slice(&turn.say);
            self.held.drain(..used);
        }
        Ok(said)
    }
}

fn frames(packets: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    packets.iter().for_each(|packet| wire::put_plain(&mut out, wire::TEXT, packet.as_bytes()));
    out
}

/// What a client's masked frames say.
fn unmasked(mut frames: &[u8]) -> Vec<String> {
    let mut packets = Vec::new();
    while let Some((header, payload, whole)) = wire::frame(frames).unwrap() {
        let key = header.mask.unwrap().into_iter().cycle();
        packets.push(
            String::from_utf8(payload.iter().zip(key).map(|(byte, key)| byte ^ key).collect()).unwrap(),
        );
        frames = frames.get(whole..).unwrap();
    }
    packets
}

fn answer(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

const UPGRADED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const HANDSHAKE: &str =
    r#"0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

#[test]
fn socketio_over_websocket_greets_subscribes_and_answers_pings() {
    for size in [1, 7, 10_000] {
        let mut client = Client::new(Door::SocketIo, &[PLAN_CHANNEL]);
        let said = client.hear(&[UPGRADED, &frames(&[HANDSHAKE])].concat(), size).unwrap();
        assert_eq!(unmasked(&said), ["40"]);
        let said = client.hear(&frames(&[r#"40{"sid":"def"}"#]), size).unwrap();
        assert_eq!(unmasked(&said), [r#"420["subscribe","bench:0000"]"#]);
        assert_eq!(client.stage, Stage::Confirming(1));
        let said = client.hear(&frames(&["430[{}]", "2", r#"42["message",{"n":1}]"#]), size).unwrap();
        assert_eq!((unmasked(&said), client.stage), (vec!["3".to_owned()], Stage::Ready));
        assert_eq!(client.told.messages, [r#"42["message",{"n":1}]"#]);
    }
}

#[test]
fn a_refused_subscription_and_a_refused_connection_end_the_run() {
    for refusal in [r#"44{"message":"no"}"#, r#"430[{"type":"error","code":"forbidden"}]"#, "41", "1"] {
        let mut client = Client::new(Door::SocketIo, &[PLAN_CHANNEL]);
        client.hear(UPGRADED, 10_000).unwrap();
        client.hear(&frames(&[HANDSHAKE]), 10_000).unwrap();
        assert!(client.hear(&frames(&[refusal]), 10_000).is_err(), "{refusal}");
    }
}

#[test]
fn polling_posts_what_it_has_to_say_and_waits_again() {
    for size in [1, 7, 10_000] {
        let mut client = Client::new(Door::Polling, &["bench:0000", "bench:0001"]);
        let mut hear = |body: &str| String::from_utf8(client.hear(&answer(body), size).unwrap()).unwrap();
        let said = hear(HANDSHAKE);
        assert!(
            said.starts_with("POST ") && said.contains("&sid=abc ") && said.ends_with("\r\n\r\n40"),
            "{said}"
        );
        let wait = hear("ok");
        assert!(wait.starts_with("GET ") && wait.contains("&sid=abc "), "{wait}");
        let said = hear(r#"40{"sid":"def"}"#);
        let both = "420[\"subscribe\",\"bench:0000\"]\x1e421[\"subscribe\",\"bench:0001\"]";
        assert!(
            said.ends_with(both) && said.contains(&format!("Content-Length: {}\r\n", both.len())),
            "{said}"
        );
        assert_eq!(hear("ok"), wait);
        assert_eq!(hear("430[{}]\x1e431[{}]"), wait);
        assert!(hear("2\x1e42[\"message\",{\"n\":1}]\x1e6").ends_with("\r\n\r\n3"));
        assert_eq!(client.stage, Stage::Ready);
        assert_eq!(client.told.messages, [r#"42["message",{"n":1}]"#]);
    }
}

#[test]
fn events_are_put_together_from_chunks() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n";
    let event = "id: k3:1\nevent: message\ndata: {\"n\":1}\n\n";
    let (first, second) = event.split_at(20);
    let confirmed = "id: k3:0\nevent: subscription_confirmed\ndata: {}\n\n";
    let pieces = ["retry: 1000\n\n", confirmed, event, first, second, &event.repeat(2)];
    let chunk = |data: &&str| format!("{:x}\r\n{data}\r\n", data.len());
    let bytes = head.to_owned() + &pieces.iter().map(chunk).collect::<String>();
    for size in [1, 7, 10_000] {
        let mut client = Client::new(Door::Sse, &[PLAN_CHANNEL]);
        assert!(client.hear(bytes.as_bytes(), size).unwrap().is_empty());
        assert_eq!((client.stage, client.told.messages.len()), (Stage::Ready, 4));
        assert!(client.told.messages.iter().all(|message| message == event), "{:?}", client.told.messages);
        assert!(client.hear(b"0\r\n\r\n", size).is_err(), "an end is a loss");
    }
    let refused = chunk(&"event: refusal\ndata: {}\n\n");
    for wrong in ["HTTP/1.1 404 Not Found\r\n\r\n".to_owned(), head.to_owned() + &refused] {
        assert!(Client::new(Door::Sse, &[PLAN_CHANNEL]).hear(wrong.as_bytes(), 10_000).is_err(), "{wrong}");
    }
}

#[test]
fn redis_replies_are_told_apart() {
    for size in [1, 7, 10_000] {
        let mut client = Client::new(Door::Redis, &[PLAN_CHANNEL]);
        let said = client.hear(b"+PONG\r\n", size).unwrap();
        assert_eq!(said, b"*2\r\n$9\r\nSUBSCRIBE\r\n$10\r\nbench:0000\r\n");
        client.hear(b"*3\r\n$9\r\nsubscribe\r\n$10\r\nbench:0000\r\n:1\r\n", size).unwrap();
        assert_eq!((client.stage, client.told.answers), (Stage::Ready, 0));
        client
            .hear(b"*3\r\n$7\r\nmessage\r\n$10\r\nbench:0000\r\n$9\r\n{\"n\":\r\n1}\r\n:12\r\n", size)
            .unwrap();
        assert_eq!(
            (client.told.messages.as_slice(), client.told.answers),
            (["{\"n\":\r\n1}".to_owned()].as_slice(), 1)
        );
        assert!(client.hear(b"-NOPERM no\r\n", size).is_err());
    }
}

#[test]
fn a_native_client_that_hears_nothing_is_ready_after_the_upgrade() {
    let mut client = Client::new(Door::Native, &[]);
    assert!(client.hear(UPGRADED, 1).unwrap().is_empty());
    assert_eq!(client.stage, Stage::Ready);
    client.hear(&frames(&[r#"{"type":"subscription_confirmed"}"#]), 10_000).unwrap();
    assert_eq!(client.told.messages.len(), 1);
}
