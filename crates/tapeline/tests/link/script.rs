//! A hub that plays a script: a test says what it answers, and what it must be asked.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("this was due")
}

pub(super) struct Script(pub(super) TcpListener);

/// The hub's end of one connection.
pub(super) struct Peer(pub(super) WebSocketStream<TcpStream>);

impl Script {
    pub(super) async fn start() -> (Script, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        (Script(listener), url)
    }

    /// The next connection, greeted.
    pub(super) async fn peer(&self) -> Peer {
        self.peer_with_token().await.0
    }

    /// The next connection, greeted, and what it calls itself.
    pub(super) async fn peer_with_token(&self) -> (Peer, Option<String>) {
        let (stream, _) = soon(self.0.accept()).await.unwrap();
        let mut given = None;
        #[expect(clippy::result_large_err, reason = "the library asks for this one")]
        let read = |request: &Request, response: Response| {
            given = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_string());
            Ok(response)
        };
        let mut peer = Peer(tokio_tungstenite::accept_hdr_async(stream, read).await.unwrap());
        assert_eq!(peer.hears().await["action"], "ping");
        peer.says(json!({"type": "pong"})).await;
        (peer, given)
    }

    /// Takes the next request and refuses it, whether it is a handshake or another; answers its head.
    pub(super) async fn refuses(&self, status: &str, code: &str) -> String {
        self.answers(status, &json!({"error": {"code": code, "message": "the test says no"}}).to_string())
            .await
    }

    /// Takes the next request and answers it; answers its head.
    pub(super) async fn answers(&self, status: &str, body: &str) -> String {
        let (mut stream, _) = soon(self.0.accept()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon(stream.read_u8()).await.unwrap());
        }
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    }
}

impl Peer {
    pub(super) async fn hears(&mut self) -> Value {
        loop {
            match soon(self.0.next()).await.expect("the bus speaks").expect("the bus speaks") {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                _ => continue,
            }
        }
    }

    pub(super) async fn says(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.expect("the bus listens");
    }

    pub(super) async fn confirms(&mut self, subscribe: &Value, offset: u64, epoch: &str) {
        let (channel, req) = (&subscribe["channel"], &subscribe["req"]);
        let frame = json!({"type": "subscription_confirmed", "channel": channel, "offset": offset,
            "epoch": epoch, "declared": true, "time": "2026-01-01T12:00:00Z", "req": req});
        self.says(frame).await;
    }

    pub(super) async fn brings(&mut self, channel: &str, offset: u64, epoch: &str) {
        self.says(json!({"type": "message", "channel": channel, "data": offset, "id": "i",
            "timestamp": "2026-01-01T12:00:00Z", "offset": offset, "epoch": epoch}))
            .await;
    }

    pub(super) async fn closes(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "as the test wants".into() };
        self.0.close(Some(frame)).await.expect("the bus listens");
    }
}
