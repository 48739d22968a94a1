//! The driver with a session that repeats what it hears, over real sockets on this machine.

use std::sync::mpsc;

use futures_util::{SinkExt, StreamExt};
use tapeline_core::Now;
use tapeline_core::feed::{Update, UpdateKind, VenueChannel};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;
use crate::book::Book;
use crate::venue::Step;

/// For what the machine may be late with; never the time that a test takes.
const LONG: Duration = Duration::from_secs(60);

/// Greets with a token, tells every text, closes at `close`.
#[derive(Default)]
struct Parrot {
    url: String,
    steps: Vec<Step>,
    counts: Counts,
}

impl Parrot {
    fn at(url: String) -> Box<Self> {
        let connect = Step::Connect { url: url.clone(), after: Duration::ZERO };
        Box::new(Parrot { url, steps: vec![connect], counts: Counts::default() })
    }
}

impl Session for Parrot {
    fn next(&mut self, now: Now, _: &mut Vec<Event>) -> Step {
        self.steps.pop().unwrap_or(Step::Wait { until_us: now.after(LONG) })
    }

    fn on_open(&mut self, _: Now) {
        self.steps.push(Step::FetchToken { after: Duration::ZERO });
    }

    fn on_text(&mut self, text: &str, received: Now, events: &mut Vec<Event>) {
        self.counts.messages += 1;
        if text == "close" {
            self.steps.push(Step::Close { why: "asked to".to_string() });
        }
        events.push(Event::Update(Update {
            source: "parrot".into(),
            channel: VenueChannel::Status,
            kind: UpdateKind::Change,
            symbol: None,
            data: text.to_string().into(),
            id: None,
            sequence: None,
            venue_us: None,
            received,
        }));
    }

    fn on_closed(&mut self, why: &str, _: Now, events: &mut Vec<Event>) {
        self.counts.disconnects += 1;
        self.steps.clear();
        self.steps.push(Step::Connect { url: self.url.clone(), after: Duration::ZERO });
        events.push(Event::Disconnected { why: why.into() });
    }

    fn on_token(&mut self, token: Result<String, String>, _: Now) {
        self.steps.push(Step::Send(token.unwrap_or_else(|error| error)));
    }

    fn book(&self, _: &str) -> Option<&Book> {
        None
    }

    fn counts(&self) -> &Counts {
        &self.counts
    }
}

struct Heard(mpsc::SyncSender<String>);

impl Sink for Heard {
    fn handle(&mut self, events: &[Event], _: &dyn Session) {
        for event in events {
            let told = match event {
                Event::Update(update) => String::from_utf8_lossy(&update.data).into_owned(),
                Event::Disconnected { why } => format!("lost: {why}"),
                other => format!("{other:?}"),
            };
            // Whoever heard enough is gone.
            let _ = self.0.send(told);
        }
    }
}

struct Given(&'static str);

impl TokenSource for Given {
    fn fetch(&self) -> Result<String, String> {
        Ok(self.0.to_string())
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/v2", listener.local_addr().unwrap());
    (listener, url)
}

fn start(session: Box<dyn Session>) -> (Live, mpsc::Receiver<String>) {
    let (heard, told) = mpsc::sync_channel(10_000);
    let line = Line { tokens: Some(Arc::new(Given("open sesame"))), ..Line::default() };
    (Live::start("parrot", session, Box::new(Heard(heard)), line).unwrap(), told)
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    accept_async(stream).await.unwrap()
}

async fn text(socket: &mut WebSocketStream<TcpStream>) -> String {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            _ => continue,
        }
    }
}

fn told(told: &mpsc::Receiver<String>) -> String {
    told.recv_timeout(LONG).unwrap()
}

#[tokio::test]
async fn every_text_is_told_in_order_and_a_lost_connection_is_opened_again() {
    let (listener, url) = listen().await;
    let (live, heard) = start(Parrot::at(url));
    let mut socket = accept(&listener).await;
    assert_eq!(text(&mut socket).await, "open sesame");
    for number in 0..1_000 {
        socket.feed(Message::text(number.to_string())).await.unwrap();
    }
    socket.flush().await.unwrap();
    for number in 0..1_000 {
        assert_eq!(told(&heard), number.to_string());
    }
    drop(socket);
    assert!(told(&heard).starts_with("lost: the connection "));
    let mut socket = accept(&listener).await;
    assert_eq!(text(&mut socket).await, "open sesame");
    socket.send(Message::text("again")).await.unwrap();
    assert_eq!(told(&heard), "again");
    let stats = live.stats();
    assert_eq!((stats.generation, stats.is_open), (2, true));
    live.stop();
}

#[tokio::test]
async fn what_comes_after_a_session_has_closed_is_not_told() {
    let (listener, url) = listen().await;
    let (live, heard) = start(Parrot::at(url));
    let mut socket = accept(&listener).await;
    for word in ["first", "close", "late", "later"] {
        socket.feed(Message::text(word)).await.unwrap();
    }
    socket.flush().await.unwrap();
    let mut second = accept(&listener).await;
    second.send(Message::text("second")).await.unwrap();
    let words: Vec<_> = (0..4).map(|_| told(&heard)).collect();
    assert_eq!(words, ["first", "close", "lost: asked to", "second"]);
    live.stop();
}

#[tokio::test]
async fn pings_of_the_venue_are_answered() {
    let (listener, url) = listen().await;
    let (live, _heard) = start(Parrot::at(url));
    let mut socket = accept(&listener).await;
    socket.send(Message::Ping("are you there".into())).await.unwrap();
    let answer = loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Pong(answer) => break answer,
            _ => continue,
        }
    };
    assert_eq!(&answer[..], b"are you there");
    live.stop();
}

#[tokio::test]
async fn a_text_over_the_bound_ends_the_connection_and_costs_no_more_memory_than_that() {
    let (listener, url) = listen().await;
    let (heard, hears) = mpsc::sync_channel(100);
    let line = Line { frame_bytes: 1_000, ..Line::default() };
    let live = Live::start("parrot", Parrot::at(url), Box::new(Heard(heard)), line).unwrap();
    let mut socket = accept(&listener).await;
    socket.send(Message::text("x".repeat(1_001))).await.unwrap();
    assert!(told(&hears).starts_with("lost: the connection broke"));
    let mut socket = accept(&listener).await;
    assert_eq!(text(&mut socket).await, "no source of tokens is set");
    live.stop();
}

#[tokio::test]
async fn a_stop_says_goodbye_and_does_not_wait_for_who_takes_nothing() {
    let (listener, url) = listen().await;
    let (live, _heard) = start(Parrot::at(url));
    let mut socket = accept(&listener).await;
    assert_eq!(text(&mut socket).await, "open sesame");
    assert!(live.is_running());
    let stopping = tokio::task::spawn_blocking(move || live.stop());
    let last = socket.next().await;
    assert!(matches!(last, Some(Ok(Message::Close(_)))), "{last:?}");
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_a_handshake_that_never_comes_to_an_end() {
    let (listener, url) = listen().await;
    let (live, _heard) = start(Parrot::at(url));
    let (_held, _) = listener.accept().await.unwrap();
    let before = std::time::Instant::now();
    tokio::task::spawn_blocking(move || live.stop()).await.unwrap();
    // The handshake alone would have taken ten seconds; a loaded machine has nine to spare.
    assert!(before.elapsed() < Duration::from_secs(9));
}

struct Ticks(mpsc::SyncSender<()>);

impl Sink for Ticks {
    fn handle(&mut self, _: &[Event], _: &dyn Session) {}

    fn tick(&self) -> Option<Duration> {
        Some(Duration::from_millis(1))
    }

    fn on_tick(&mut self, _: &dyn Session) {
        // One that is heard is enough.
        let _ = self.0.try_send(());
    }
}

#[tokio::test]
async fn a_sink_is_called_in_its_rhythm_though_nothing_comes() {
    let (_listener, url) = listen().await;
    let (tick, ticks) = mpsc::sync_channel(1);
    let live = Live::start("parrot", Parrot::at(url), Box::new(Ticks(tick)), Line::default()).unwrap();
    for _ in 0..3 {
        ticks.recv_timeout(LONG).unwrap();
    }
    live.stop();
}

#[tokio::test]
async fn where_nobody_listens_the_session_learns_why() {
    let (listener, url) = listen().await;
    drop(listener);
    let (live, heard) = start(Parrot::at(url));
    assert!(told(&heard).starts_with("lost: cannot connect: "));
    live.stop();
}

/// Subscribes to a ticker at this address.
fn kraken(url: String) -> Box<dyn Session> {
    let settings = crate::kraken::KrakenSettings {
        url,
        symbols: vec!["BTC/USD".into()],
        channels: vec![VenueChannel::Ticker],
        ..Default::default()
    };
    Box::new(crate::kraken::Session::new(settings, 1).unwrap())
}

/// Greets, accepts the subscription, says a price.
async fn trade(socket: &mut WebSocketStream<TcpStream>, price: &str) {
    let state = r#"{"channel":"status","type":"update","data":[{"system":"online"}]}"#;
    socket.send(Message::text(state)).await.unwrap();
    let request: serde_json::Value = serde_json::from_str(&text(socket).await).unwrap();
    assert_eq!(request["params"]["channel"], "ticker");
    let result = serde_json::json!({"channel": "ticker", "symbol": "BTC/USD"});
    let ack = serde_json::json!({"method": "subscribe", "req_id": request["req_id"], "success": true, "result": result});
    socket.send(Message::text(ack.to_string())).await.unwrap();
    let ticker =
        format!(r#"{{"channel":"ticker","type":"snapshot","data":[{{"symbol":"BTC/USD","last":{price}}}]}}"#);
    socket.send(Message::text(ticker)).await.unwrap();
}

#[tokio::test]
async fn a_session_with_kraken_subscribes_over_a_socket_and_comes_back_when_it_is_cut() {
    let (listener, url) = listen().await;
    let (live, heard) = start(kraken(url));
    let words = |heard: &mpsc::Receiver<String>| (0..3).map(|_| told(heard)).collect::<Vec<_>>();
    let mut socket = accept(&listener).await;
    trade(&mut socket, "65972.80").await;
    assert_eq!(words(&heard), ["State(Online)", "Connected", r#"{"symbol":"BTC/USD","last":65972.80}"#]);
    drop(socket);
    assert!(told(&heard).starts_with("lost: "));
    let mut socket = accept(&listener).await;
    trade(&mut socket, "65973.00").await;
    assert_eq!(words(&heard)[2], r#"{"symbol":"BTC/USD","last":65973.00}"#);
    live.stop();
}
