//! HTTP/2 behind TLS: the API as on HTTP/1.1, with the same limits although one socket carries many requests and a client
//! may stop reading an answer while its socket goes on.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{Method, Request, StatusCode, Version};
use rustls::pki_types::ServerName;
use serde_json::Value;
use support::tls::Authority;
use support::{Hub, PATIENCE, eventually};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// One connection, and how it ends.
struct Client {
    requests: SendRequest<Bytes>,
    ended: JoinHandle<Result<(), h2::Error>>,
}

async fn connect(hub: &Hub, authority: &Authority) -> Client {
    let mut config = authority.believed();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(hub.tls_address()).await.expect("it listens");
    stream.set_nodelay(true).expect("TCP_NODELAY can be set");
    let name = ServerName::try_from("localhost").expect("it is a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("it is believed");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (requests, connection) = h2::client::handshake(stream).await.expect("HTTP/2 is spoken");
    Client { requests, ended: tokio::spawn(connection) }
}

fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("https://localhost{path}")).version(Version::HTTP_2)
}

/// What came of a request.
async fn whole(answer: ResponseFuture) -> (StatusCode, Value) {
    let answer = answer.await.expect("an answer");
    let (head, mut body) = answer.into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.expect("the answer goes on");
        body.flow_control().release_capacity(piece.len()).expect("it was taken");
        bytes.extend_from_slice(&piece);
    }
    (head.status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

impl Client {
    async fn ask(&mut self, request: http::request::Builder, body: &str) -> (StatusCode, Value) {
        let (answer, sending) = self.send(request, body);
        let (told, ()) = tokio::join!(whole(answer), sending);
        told
    }

    fn send(
        &mut self,
        request: http::request::Builder,
        body: &str,
    ) -> (ResponseFuture, impl Future<Output = ()> + use<>) {
        let request = request.body(()).expect("it is a request");
        let (answer, mut stream) =
            self.requests.send_request(request, body.is_empty()).expect("there is room");
        let mut body = Bytes::from(body.to_string());
        let sending = async move {
            while !body.is_empty() {
                stream.reserve_capacity(body.len());
                let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else {
                    return;
                };
                let piece = body.split_to(room.min(body.len()));
                if stream.send_data(piece, body.is_empty()).is_err() {
                    return;
                }
            }
        };
        (answer, sending)
    }

    /// Waits for the hub to end the connection.
    /// The hub has ended it. What the client still had to say may have met a socket that is closed by then.
    async fn ends_well(self) {
        let told = self.ended().await;
        assert!(told.as_ref().map_or_else(h2::Error::is_io, |()| true), "it is ended, not broken: {told:?}");
    }

    async fn ended(self) -> Result<(), h2::Error> {
        let Client { requests, ended } = self;
        let ended = tokio::time::timeout(PATIENCE, ended).await.expect("the hub ends it");
        drop(requests);
        ended.expect("no panic")
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test);
}

#[test]
fn many_requests_go_over_one_connection_and_limits_hold_for_each() {
    let authority = Authority::new();
    let hub = Hub::with_tls("", &authority.pair(90), &[]);
    run(async {
        let mut client = connect(&hub, &authority).await;
        for n in 1..=20 {
            let body = format!(r#"{{"channel":"orders:1","data":{{"n":{n}}}}}"#);
            let publish = request(Method::POST, "/publish").header("content-type", "application/json");
            let (status, told) = client.ask(publish, &body).await;
            assert_eq!((status, &told["offset"]), (StatusCode::OK, &n.into()), "{told}");
        }
        let asked: Vec<_> = (0..50)
            .map(|_| {
                client.requests.send_request(
                    request(Method::GET, "/history/orders:1").body(()).expect("a request"),
                    true,
                )
            })
            .collect();
        // All are taken at once: answers that wait unread fill the window that the others share.
        let taken: Vec<_> =
            asked.into_iter().map(|asked| tokio::spawn(whole(asked.expect("there is room").0))).collect();
        for answer in taken {
            let (status, told) = answer.await.expect("no panic");
            assert_eq!((status, told["messages"].as_array().map(Vec::len)), (StatusCode::OK, Some(20)));
        }
        let large = format!(r#"{{"channel":"orders:1","data":"{}"}}"#, "x".repeat(2 << 20));
        let publish = request(Method::POST, "/publish").header("content-type", "application/json");
        let (status, told) = client.ask(publish, &large).await;
        assert_eq!((status, &told["error"]["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &"too_large".into()));
        let head = request(Method::GET, "/ready").header("x-pad", "x".repeat(20_000));
        assert_eq!(client.ask(head, "").await.0, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        let (status, _) = client.ask(request(Method::GET, "/ready"), "").await;
        assert_eq!(status, StatusCode::OK, "the connection goes on");
    });
}

#[test]
fn the_authority_stands_for_the_host_when_origins_are_checked() {
    let authority = Authority::new();
    let hub = Hub::with_tls("", &authority.pair(90), &[]);
    run(async {
        let mut client = connect(&hub, &authority).await;
        let from = |origin: &str| request(Method::GET, "/health").header("origin", origin);
        assert_eq!(client.ask(from("https://localhost"), "").await.0, StatusCode::OK);
        assert_eq!(client.ask(from("https://evil.example"), "").await.0, StatusCode::FORBIDDEN);
        // A page whose own name leads to this machine; another Host does not hide it.
        let rebound = Request::builder().uri("https://evil.example/health").header("host", "localhost");
        assert_eq!(client.ask(rebound, "").await.0, StatusCode::FORBIDDEN);
    });
}

#[test]
fn a_websocket_is_refused_here_with_the_reason() {
    let authority = Authority::new();
    let hub = Hub::with_tls("", &authority.pair(90), &[]);
    run(async {
        let mut client = connect(&hub, &authority).await;
        let (status, told) = client.ask(request(Method::GET, "/ws"), "").await;
        assert!(status.is_client_error(), "{status}");
        assert!(told["error"]["message"].as_str().is_some_and(|told| told.contains("HTTP/1.1")), "{told}");
        let connect = Request::builder().method(Method::CONNECT).uri("localhost:443");
        let (status, _) = client.ask(connect, "").await;
        assert!(status.is_client_error(), "{status}");
        assert_eq!(client.ask(request(Method::GET, "/ready"), "").await.0, StatusCode::OK);
    });
}

#[test]
fn an_answer_that_nobody_takes_is_let_go_although_the_socket_goes_on() {
    let authority = Authority::new();
    let hub = Hub::with_tls("[limits]\nslow_close_s = 1\n", &authority.pair(90), &[]);
    hub.publish_all("orders:1", (0..20).map(|n| format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(50_000))));
    run(async {
        let mut reading = connect(&hub, &authority).await;
        let (status, told) = reading.ask(request(Method::GET, "/history/orders:1"), "").await;
        assert_eq!((status, told["messages"].as_array().map(Vec::len)), (StatusCode::OK, Some(20)));
        let mut stuck = connect(&hub, &authority).await;
        let start = Instant::now();
        let asked = request(Method::GET, "/history/orders:1").body(()).expect("a request");
        let (answer, _) = stuck.requests.send_request(asked, true).expect("there is room");
        let answer = answer.await.expect("its head comes");
        // The window is shut: nothing of it is given back.
        assert!(stuck.ended().await.is_err());
        assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
        drop(answer);
        assert_eq!(hub.stats()["closed"]["slow"], 1, "who reads is not slow");
    });
}

#[test]
fn a_connection_on_which_nothing_is_asked_is_ended() {
    let authority = Authority::new();
    // Long enough for a handshake on a machine that stalls.
    let hub = Hub::with_tls("[limits]\nhandshake_timeout_s = 4\n", &authority.pair(90), &[]);
    run(async {
        let start = Instant::now();
        let silent = connect(&hub, &authority).await;
        silent.ends_well().await;
        assert!(start.elapsed() >= Duration::from_millis(3_900), "{:?}", start.elapsed());
        // One that has asked is ended when it asks nothing more.
        let mut asking = connect(&hub, &authority).await;
        assert_eq!(asking.ask(request(Method::GET, "/ready"), "").await.0, StatusCode::OK);
        asking.ends_well().await;
    });
}

#[test]
fn who_asks_and_takes_back_without_end_is_cut_off_and_costs_nobody_else() {
    let authority = Authority::new();
    let hub = Hub::with_tls("", &authority.pair(90), &[]);
    run(async {
        let flooding = connect(&hub, &authority).await;
        let end = Instant::now() + PATIENCE;
        loop {
            let asked = request(Method::GET, "/history/orders:1").body(()).expect("a request");
            // A hub that is flooded so says that it has had enough.
            let Ok(mut ready) = flooding.requests.clone().ready().await else { break };
            match ready.send_request(asked, true) {
                Ok((_, mut stream)) => stream.send_reset(h2::Reason::CANCEL),
                Err(_) => break,
            }
            tokio::task::yield_now().await;
            assert!(Instant::now() < end, "the flood goes on");
        }
        let told = flooding.ended().await.expect_err("it is cut off");
        // The reason may be lost with the socket that is closed while the flood goes on.
        assert!(told.is_io() || told.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM), "{told}");
    });
    assert_eq!(hub.get("/ready").status(), 200);
}

#[test]
fn a_stop_ends_connections_after_what_is_under_way() {
    let authority = Authority::new();
    let mut hub = Hub::with_tls("", &authority.pair(90), &[]);
    run(async {
        let mut client = connect(&hub, &authority).await;
        assert_eq!(client.ask(request(Method::GET, "/ready"), "").await.0, StatusCode::OK);
        let publish = request(Method::POST, "/publish").header("content-type", "application/json");
        let publish = publish.body(()).expect("a request");
        let (answer, mut stream) = client.requests.send_request(publish, false).expect("there is room");
        // It has begun: the hub has it when it has answered what was asked later.
        assert_eq!(client.ask(request(Method::GET, "/ready"), "").await.0, StatusCode::OK);
        hub.terminate();
        assert!(eventually(|| std::net::TcpStream::connect(hub.tls_address()).is_err()), "it listens on");
        let body = r#"{"channel":"orders:1","data":1}"#;
        stream.send_data(Bytes::from(body), true).expect("the hub still reads");
        assert_eq!(whole(answer).await.0, StatusCode::OK);
        client.ends_well().await;
    });
    assert_eq!(hub.wait().code(), Some(0));
}
