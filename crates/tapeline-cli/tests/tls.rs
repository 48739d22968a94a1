//! TLS, end to end: what holds for plain connections holds behind it; certificates are replaced while clients stay, and
//! what is no TLS is refused and counted.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, HandshakeKind};
use serde_json::{Value, json};
use support::tls::{Authority, Secured, secure, shown, try_secure};
use support::{Client, Hub, PATIENCE, eventually, run_to_end, serve};
use tungstenite::Message;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// A request over HTTP/1.1 behind TLS: the status, and the body.
fn ask(hub: &Hub, config: &Arc<ClientConfig>, request: &str, body: &str) -> (u16, Value) {
    let mut secured = secure(hub, config);
    let head = format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    secured.write_all(&[head.as_bytes(), body.as_bytes()].concat()).expect("the hub reads");
    let answer = rest(&mut secured);
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    (head[9..12].parse().expect("a status"), serde_json::from_str(body).expect("it is JSON"))
}

fn rest(secured: &mut Secured) -> String {
    let mut answer = String::new();
    secured.read_to_string(&mut answer).expect("the hub says that it is done");
    answer
}

/// How often handshakes ended so.
fn handshakes(hub: &Hub, outcome: &str) -> u64 {
    let line = format!("tapeline_tls_handshakes_total{{outcome=\"{outcome}\"}} ");
    let metrics = hub.get("/metrics");
    let count = metrics.text().lines().find_map(|told| told.strip_prefix(&line));
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{line} is missing"))
}

fn alerts(hub: &Hub) -> Vec<(String, f64)> {
    let told = hub.get("/history/alerts:tls").json();
    let messages = told["messages"].as_array().cloned().unwrap_or_default();
    let one = |message: &Value| {
        let data = &message["data"];
        assert_eq!(data["rule"], "certificate_expiry", "{message}");
        (data["state"].as_str().unwrap_or_default().to_string(), data["value"].as_f64().expect("a number"))
    };
    messages.iter().map(one).collect()
}

#[test]
fn a_subscriber_behind_tls_hears_what_is_published_behind_tls_whole_and_in_order() {
    let authority = Authority::new();
    let hub = Hub::with_tls("", &authority.pair(90), &[]);
    let config = Arc::new(authority.believed());
    let mut client = Client::connect_tls(&hub, &config);
    client.subscribe("orders:1");
    let body = json!({"channel": "orders:1", "data": {"n": 1}}).to_string();
    let (status, told) = ask(&hub, &config, "POST /publish", &body);
    assert_eq!((status, &told["offset"]), (200, &json!(1)), "{told}");
    client.message(1);
    // Larger than what TLS takes at once, than a turn of the shard, and than the socket's buffers.
    let pad = "x".repeat(900_000);
    for n in 2..=6 {
        let request =
            json!({"action": "publish", "channel": "orders:1", "data": {"n": n, "pad": pad}, "req": n});
        let text = request.to_string();
        let cut = text.len() / 3;
        let part = |opcode, bytes: &str, end| {
            Frame::message(bytes.to_string().into_bytes(), OpCode::Data(opcode), end)
        };
        for frame in [
            part(Data::Text, &text[..cut], false),
            part(Data::Continue, &text[cut..2 * cut], false),
            part(Data::Continue, &text[2 * cut..], true),
        ] {
            client.socket().send(Message::Frame(frame)).expect("the hub reads");
        }
        let (mut answered, mut heard) = (false, false);
        while !(answered && heard) {
            let frame = client.next();
            match frame.kind() {
                "published" | "publish_ack" => answered = true,
                _ if frame.is_message() => {
                    assert_eq!((frame.offset(), frame.data_text().len() > pad.len()), (n, true));
                    heard = true;
                }
                _ => assert_eq!(frame.json["req"], n, "{}", frame.text),
            }
            answered |= frame.json["req"] == n;
        }
    }
    client.expect_silence();
    client.close();
}

#[test]
fn every_one_of_two_hundred_clients_behind_tls_gets_every_message_once() {
    let authority = Authority::new();
    let hub = Hub::with_tls("", &authority.pair(90), &[]);
    let config = Arc::new(authority.believed());
    let mut clients: Vec<Client> = (0..200).map(|_| Client::connect_tls(&hub, &config)).collect();
    clients.iter_mut().for_each(|client| drop(client.subscribe("orders:1")));
    hub.publish_all("orders:1", (1..=300).map(|n| format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(200))));
    for client in &mut clients {
        assert_eq!(client.offsets_until(300), (1..=300).collect::<Vec<_>>());
        client.expect_silence();
    }
    assert_eq!(hub.stats()["delivered"], 200 * 300);
    let counted = handshakes(&hub, "full") + handshakes(&hub, "resumed");
    assert_eq!(counted, 200);
}

#[test]
fn a_client_that_comes_back_resumes_its_session() {
    let authority = Authority::new();
    let hub = Hub::with_tls("", &authority.pair(90), &[]);
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let mut roots = rustls::RootCertStore::empty();
        let pem = std::fs::read(&authority.file).expect("it is there");
        use rustls::pki_types::pem::PemObject;
        roots.add(rustls::pki_types::CertificateDer::from_pem_slice(&pem).expect("PEM")).expect("it is one");
        let config = ClientConfig::builder_with_protocol_versions(versions);
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let kinds = [(); 2].map(|()| {
            let mut secured = secure(&hub, &config);
            secured
                .write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .expect("read");
            assert!(rest(&mut secured).starts_with("HTTP/1.1 200"));
            secured.conn.handshake_kind()
        });
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]);
    }
    assert_eq!((handshakes(&hub, "full"), handshakes(&hub, "resumed")), (2, 2));
}

#[test]
fn new_files_are_served_to_new_clients_while_those_who_are_connected_stay() {
    let authority = Authority::new();
    let pair = authority.pair(90);
    let hub = Hub::with_tls("", &pair, &[]);
    let config = Arc::new(authority.believed());
    let mut early = Client::connect_tls(&hub, &config);
    early.subscribe("orders:1");
    let before = shown(&secure(&hub, &config));
    // Nobody tells the hub: it looks.
    pair.write(&authority.issue(60));
    assert!(eventually(|| shown(&secure(&hub, &config)) != before), "the new certificate is not served");
    hub.publish("orders:1", "{}");
    early.message(1);
    Client::connect_tls(&hub, &config).subscribe("orders:1");
    assert!(hub.get("/health").json()["tls"]["detail"].as_str().expect("it is told").contains("60 days"));
}

#[test]
fn a_bad_new_pair_leaves_the_last_good_one_and_says_so_until_it_is_good() {
    let authority = Authority::new();
    let pair = authority.pair(90);
    let hub = Hub::with_tls("", &pair, &[]);
    let config = Arc::new(authority.believed());
    let before = shown(&secure(&hub, &config));
    let [certificate, key] = authority.issue(60);
    // A certificate without its key, as half of a renewal leaves it.
    std::fs::write(&pair.certificate, &certificate).expect("it can be written");
    hub.hang_up();
    let health = || hub.get("/health").json()["tls"].clone();
    assert!(eventually(|| health()["status"] == "degraded"), "{}", health());
    assert!(health()["detail"].as_str().is_some_and(|told| told.contains("does not belong")), "{}", health());
    assert_eq!(shown(&secure(&hub, &config)), before);
    assert_eq!(hub.get("/health").status(), 200, "the hub itself is well");
    assert!(hub.log().contains("the certificate that was served before stays"), "{}", hub.log());
    std::fs::write(&pair.key, &key).expect("it can be written");
    assert!(eventually(|| health()["status"] == "ok"), "{}", health());
    assert_ne!(shown(&secure(&hub, &config)), before);
    assert_eq!(hub.log().matches("served before stays").count(), 1, "it is said once: {}", hub.log());
}

#[test]
fn a_reload_takes_another_pair_and_is_refused_where_that_is_bad() {
    let authority = Authority::new();
    let (first, second) = (authority.pair(90), authority.pair(60));
    let text = |pair: &support::tls::Pair, key: &support::tls::Pair| {
        format!(
            "[tls]\nlisten = [\"127.0.0.1:0\"]\ncertificate = {:?}\nkey = {:?}\nmin_version = \"1.3\"\n",
            pair.certificate, key.key
        )
    };
    let hub = Hub::with_tls_config(&text(&first, &first));
    let config = Arc::new(authority.believed());
    let before = shown(&secure(&hub, &config));
    hub.rewrite(&text(&second, &first));
    let (status, _, err) = hub.run(&["config", "reload"]);
    assert!(!status.success() && err.contains("does not belong"), "{err}");
    assert_eq!(shown(&secure(&hub, &config)), before);
    hub.rewrite(&text(&second, &second));
    let (status, _, err) = hub.run(&["config", "reload"]);
    assert!(status.success(), "{err}");
    assert_ne!(shown(&secure(&hub, &config)), before);
}

#[test]
fn the_alert_of_the_end_is_raised_once_and_resolved_once_after_a_renewal() {
    let authority = Authority::new();
    let pair = authority.pair(5);
    let hub = Hub::with_tls("", &pair, &[]);
    assert!(eventually(|| alerts(&hub).len() == 1));
    let expiry = || {
        let metrics = hub.get("/metrics");
        let line =
            metrics.text().lines().find_map(|line| line.strip_prefix("tapeline_certificate_expiry_seconds "));
        line.and_then(|left| left.parse::<i64>().ok()).expect("it is told")
    };
    assert!((400_000..=432_000).contains(&expiry()), "{}", expiry());
    pair.write(&authority.issue(90));
    assert!(eventually(|| alerts(&hub).len() == 2));
    let told = alerts(&hub);
    let states: Vec<&str> = told.iter().map(|(state, _)| state.as_str()).collect();
    assert_eq!(states, ["raised", "resolved"]);
    assert!(told[0].1 < 432_001.0 && told[1].1 > 7_000_000.0, "{told:?}");
    assert!(hub.log().contains("the certificate ends in"), "{}", hub.log());
}

#[test]
fn an_expired_certificate_is_served_with_a_loud_warning() {
    let authority = Authority::new();
    let hub = Hub::with_tls("", &authority.pair(-2), &[]);
    assert!(hub.log().contains("THE CERTIFICATE HAS EXPIRED"), "{}", hub.log());
    assert_eq!(hub.get("/health").json()["tls"]["status"], "degraded");
    let refused = try_secure(&hub, &Arc::new(authority.believed())).expect_err("nobody believes it");
    assert!(refused.to_string().contains("xpired"), "{refused}");
    assert!(eventually(|| handshakes(&hub, "client_alert") == 1));
    assert!(eventually(|| alerts(&hub).first().is_some_and(|(_, left)| *left < 0.0)));
}

#[test]
fn what_cannot_be_served_stops_the_start_with_the_reason() {
    let authority = Authority::new();
    let (one, other) = (authority.pair(90), authority.pair(90));
    let [one_c, one_k] = [&one.certificate, &one.key].map(|path| path.to_str().expect("text"));
    let other_k = other.key.to_str().expect("text");
    let listen = ["--tls-listen", "127.0.0.1:0"];
    for (words, expected) in [
        (vec!["--tls-certificate", one_c, "--tls-key", other_k], "does not belong to the certificate"),
        (vec!["--tls-certificate", one_c, "--tls-key", one_c], "has no private key in PEM"),
        (vec!["--tls-certificate", one_k, "--tls-key", one_k], "has no certificate in PEM"),
        (vec!["--tls-certificate", "/no/such/file", "--tls-key", one_k], "/no/such/file cannot be read"),
        (vec!["--tls-certificate", one_c, "--tls-key", "/"], "/ cannot be read"),
        (vec!["--tls-certificate", one_c], "tls.key is missing (--tls-key FILE)"),
        (vec!["--tls-key", one_k], "tls.certificate is missing (--tls-certificate FILE)"),
        (vec![], "tls.certificate is missing (--tls-certificate FILE)"),
    ] {
        let mut command = serve("127.0.0.1:0");
        command.args(listen).args(&words);
        let (status, _, err) = run_to_end(command);
        assert_eq!(status.code(), Some(1), "{words:?}");
        assert!(err.contains(expected), "{words:?}: {err}");
    }
    let mut command = serve("127.0.0.1:0");
    command.args(["--tls-certificate", one_c, "--tls-key", one_k]);
    let (status, _, err) = run_to_end(command);
    assert!(status.code() == Some(1) && err.contains("tls.listen is missing (--tls-listen ADDR)"), "{err}");
}

/// What comes back for these bytes, until the hub closes.
fn answer_to(hub: &Hub, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(hub.tls_address()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    stream.write_all(bytes).expect("it reads");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the hub does not close"),
    }
    answer
}

/// A greeting of TLS 1.1, as old clients send it.
fn old_hello() -> Vec<u8> {
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x13, 0, 0x2f, 1, 0]);
    let mut hello = vec![1, 0, 0, u8::try_from(body.len()).expect("it is short")];
    hello.extend(body);
    let mut record = vec![22, 3, 1, 0, u8::try_from(hello.len()).expect("it is short")];
    record.extend(hello);
    record
}

#[test]
fn what_is_no_tls_of_today_is_refused_and_counted_by_its_cause() {
    let authority = Authority::new();
    let hub = Hub::with_tls("[limits]\nhandshake_timeout_s = 0.5\n", &authority.pair(90), &[]);
    let told = answer_to(&hub, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let told = String::from_utf8(told).expect("it is text");
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("this port speaks TLS"), "{told}");
    let alert = answer_to(&hub, &old_hello());
    assert_eq!(alert.first(), Some(&21), "an alert: {alert:?}");
    answer_to(&hub, &[0x16, 0x03, 0x01, 0xff, 0xff, 0, 0, 0]);
    answer_to(&hub, &[0x80; 64]);
    let start = Instant::now();
    assert!(answer_to(&hub, &old_hello()[..20]).is_empty(), "half a greeting is answered with nothing");
    assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
    drop(TcpStream::connect(hub.tls_address()).expect("it listens"));
    for (outcome, count) in
        [("plain_http", 1), ("incompatible", 1), ("not_tls", 2), ("timeout", 1), ("hangup", 1), ("full", 0)]
    {
        assert!(
            eventually(|| handshakes(&hub, outcome) == count),
            "{outcome}: {}",
            handshakes(&hub, outcome)
        );
    }
}

#[test]
fn who_says_nothing_behind_tls_is_told_that_the_head_took_too_long() {
    let authority = Authority::new();
    let hub = Hub::with_tls("[limits]\nhandshake_timeout_s = 0.5\n", &authority.pair(90), &[]);
    let mut secured = secure(&hub, &Arc::new(authority.believed()));
    secured.write_all(b"GET / HTTP/1.1\r\nHost:").expect("it reads");
    let told = rest(&mut secured);
    assert!(told.contains("limits.handshake_timeout_s"), "{told}");
}

#[test]
fn a_hub_may_speak_tls_alone_and_only_the_newest() {
    let authority = Authority::new();
    let pair = authority.pair(90);
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.args(["config", "--tls-listen", "127.0.0.1:0"]).args(&pair.words()[2..]);
    let (_, out, _) = run_to_end(command);
    assert!(out.lines().any(|line| line.starts_with("serve.listen = []")), "{out}");
    let hub = Hub::with_tls("tls.min_version = \"1.3\"\n", &pair, &[]);
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates([]);
    let old = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS12]);
    let old = Arc::new(old.with_root_certificates(roots).with_no_client_auth());
    assert!(try_secure(&hub, &old).is_err());
    secure(&hub, &Arc::new(authority.believed()));
    assert!(eventually(|| handshakes(&hub, "incompatible") == 1));
}

#[test]
fn on_a_stop_clients_behind_tls_are_told_when_to_come_back_and_closed() {
    let authority = Authority::new();
    let mut hub = Hub::with_tls("[drain]\nwindow_s = 0.2\n", &authority.pair(90), &[]);
    let config = Arc::new(authority.believed());
    let mut clients = [(); 20].map(|()| Client::connect_tls(&hub, &config));
    clients.iter_mut().for_each(|client| drop(client.subscribe("orderbook:X")));
    hub.terminate();
    for client in &mut clients {
        client.next_of("reconnect");
        let closed = client.closed();
        assert_eq!((closed.code, closed.reason.as_str()), (1001, "the hub is stopping"));
    }
    drop(clients);
    assert_eq!(hub.wait().code(), Some(0));
}

#[test]
fn a_client_behind_tls_that_does_not_read_is_conflated_and_gets_the_newest_in_the_end() {
    let authority = Authority::new();
    let hub = Hub::with_tls("", &authority.pair(90), &[]);
    let mut slow = Client::connect_tls(&hub, &Arc::new(authority.believed()));
    slow.subscribe("market_data:A");
    let price = |n: u64| {
        format!(r#"{{"symbol":"A","price":{n},"change":0,"volume":1,"pad":"{}"}}"#, "x".repeat(1_000))
    };
    hub.publish_all("market_data:A", (1..=12_000).map(price));
    assert!(eventually(|| hub.stats()["conflated"].as_u64() > Some(0)), "{}", hub.stats());
    let (mut got, mut last) = (0, 0);
    while last < 12_000 {
        let frame = slow.next();
        if frame.is_message() {
            assert!(frame.offset() > last, "{} after {last}", frame.offset());
            (got, last) = (got + 1, frame.offset());
        }
    }
    assert!(got < 12_000, "nothing was conflated");
    hub.publish("market_data:A", &price(12_001));
    while slow.next().json["offset"] != 12_001 {}
}

#[test]
fn a_client_behind_tls_that_takes_no_byte_for_too_long_is_closed() {
    let authority = Authority::new();
    let hub = Hub::with_tls("[limits]\nslow_close_s = 1\n", &authority.pair(90), &[]);
    let mut stuck = Client::connect_tls(&hub, &Arc::new(authority.believed()));
    stuck.subscribe("orders:1");
    hub.publish_all(
        "orders:1",
        (1..=12_000).map(|n| format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(1_000))),
    );
    assert!(eventually(|| hub.stats()["closed"]["slow"] == 1), "{}", hub.stats());
    let mut last = 0;
    let closed = loop {
        match stuck.read() {
            Ok(frame) if frame.is_message() => {
                assert_eq!(frame.offset(), last + 1, "what came before the end is whole and in order");
                last += 1;
            }
            Ok(_) => {}
            Err(closed) => break closed,
        }
    };
    assert!(matches!(closed.code, 4002 | 1006), "{closed:?}");
}

#[test]
fn the_commands_talk_to_a_hub_behind_tls_that_they_believe() {
    let authority = Authority::new();
    let hub = Hub::with_tls("", &authority.pair(90), &[]);
    let port = hub.tls_address().rsplit(':').next().expect("a port");
    let run = |words: &[&str], believed: bool| {
        let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
        command.args(words).args(["--url", &format!("wss://localhost:{port}")]);
        if believed {
            command.env("TAPELINE_CA", &authority.file);
        }
        run_to_end(command)
    };
    let (status, out, err) = run(&["pub", "orders:1", "{\"n\":1}"], true);
    assert!(status.success(), "{out}{err}");
    let (status, out, err) = run(&["sub", "orders:1", "--since", "0", "--count", "1"], true);
    assert!(status.success() && out.contains("\"n\":1"), "{out}{err}");
    let (status, out, err) = run(&["stats"], true);
    assert!(status.success() && out.contains("published"), "{out}{err}");
    let (_, out, err) = run(&["doctor"], true);
    assert!(out.contains("https://localhost"), "{out}{err}");
    for words in [&["stats"][..], &["sub", "orders:1", "--count", "1"]] {
        let (status, _, err) = run(words, false);
        assert!(!status.success() && err.contains("--ca FILE"), "{words:?}: {err}");
    }
}

#[test]
fn the_library_talks_to_a_hub_behind_tls_that_it_believes() {
    let authority = Authority::new();
    let hub = Hub::with_tls("", &authority.pair(90), &[]);
    let url = format!("wss://localhost:{}", hub.tls_address().rsplit(':').next().expect("a port"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let settings =
            tapeline::Settings { ca: Some(authority.file.clone()), ..tapeline::Settings::default() };
        let bus = tapeline::connect_with(&url, settings).await.expect("it is believed");
        let mut stream = bus.subscribe_stream("orders:1").await.expect("it may be heard");
        bus.publish("orders:1", json!({"n": 1})).await.expect("it is taken");
        let event = stream.next().await.expect("it comes");
        assert_eq!(event.message().expect("a message").data(), &json!({"n": 1}));
        bus.store().set("a:b", json!(1)).await.expect("the store is behind TLS too");
        let missing =
            tapeline::Settings { ca: Some("/no/such/file".into()), ..tapeline::Settings::default() };
        let refused = tapeline::connect_with(&url, missing).await.expect_err("nobody is believed");
        assert!(refused.to_string().contains("/no/such/file"), "{refused}");
    });
}
