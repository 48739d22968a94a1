//! Keys of tokens that are rotated while their users are connected: nobody goes as long as the old one is there.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tapeline_auth::Algorithm;
use tapeline_auth::mint::{self, Signer};

use super::support::people::{Key, OTHER_SECRET, SECRET, auth, bearer, claims, key, signed};
use super::support::{Client, Hub, PATIENCE, temporary};

fn reload(hub: &Hub, admin: &Key) {
    let answer = hub.request("POST", "/admin/reload", &bearer(&admin.text), "");
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

/// Somebody with this token who hears the news.
fn listener(hub: &Hub, token: &str) -> Client {
    let mut client = Client::connect_with(hub, "/ws", &bearer(token));
    client.subscribe("news");
    client
}

#[test]
fn a_secret_is_rotated_without_a_word_while_both_are_there_and_ends_with_its_own() {
    let admin = key("admin = true");
    let hub = Hub::with_config(&auth("", &[&admin]));
    let [of_old, of_new] = [SECRET, OTHER_SECRET].map(|by| signed(by, &claims("ann", &json!({}), 600)));
    let mut early = listener(&hub, &of_old);
    let file = temporary("secret");
    std::fs::write(&file, OTHER_SECRET).expect("it can be written");
    let old = format!("secret = {SECRET:?}\n");
    let new = format!("secret_file = {file:?}\n");
    let only_old = auth("", &[&admin]);
    let both = only_old.replace(&old, &format!("{old}{new}"));
    let only_new = only_old.replace(&old, &new);
    hub.rewrite(&both);
    reload(&hub, &admin);
    let mut late = listener(&hub, &of_new);
    early.expect_to_stay();
    let mut again = listener(&hub, &of_old);
    again.expect_to_stay();
    hub.rewrite(&only_new);
    reload(&hub, &admin);
    assert_eq!(early.closed().code, 4003);
    late.expect_to_stay();
    std::fs::remove_file(file).expect("it was written");
}

/// A pair of keys under a name.
struct Named {
    id: &'static str,
    pair: mint::Pair,
}

impl Named {
    fn make(id: &'static str) -> Self {
        Named { id, pair: mint::pair(Algorithm::EdDsa).expect("the system has randomness") }
    }

    fn token(&self) -> String {
        let key = Signer::private_key(Algorithm::EdDsa, self.pair.private.as_bytes()).expect("it is one");
        let claims = claims("ann", &json!({}), 600);
        key.token(&claims, Some(self.id), "JWT").expect("it signs")
    }

    fn jwk(&self) -> Value {
        let text: String = self.pair.public.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(text).expect("it is PEM");
        let key = &der[der.len() - 32..];
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": URL_SAFE_NO_PAD.encode(key)})
    }
}

/// An issuer on loopback: it has one set of keys, which can be changed, and tells each time that it is fetched.
struct Issuer {
    url: String,
    set: Arc<Mutex<String>>,
    fetched: Receiver<()>,
}

impl Issuer {
    fn start(keys: &[&Named]) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/keys", listener.local_addr().expect("it is bound"));
        let set = Arc::new(Mutex::new(String::new()));
        let (telling, fetched) = sync_channel(16);
        let issuer = Issuer { url, set: set.clone(), fetched };
        issuer.has(keys);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).expect("the hub asks");
                    asked.push(byte[0]);
                }
                let body = set.lock().expect("nobody panics").clone();
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all(&[head, body].concat().into_bytes()).expect("the hub reads");
                if telling.send(()).is_err() {
                    return;
                }
            }
        });
        issuer
    }

    fn has(&self, keys: &[&Named]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        *self.set.lock().expect("nobody panics") = json!({"keys": keys}).to_string();
    }

    /// Waits for the next fetch, of which there is one in ten seconds.
    fn is_asked(&self) {
        self.fetched.recv_timeout(2 * PATIENCE).expect("a fetch is due");
    }
}

#[test]
fn a_key_that_left_its_issuers_set_takes_those_along_whom_it_let_in() {
    let (one, two) = (Named::make("one"), Named::make("two"));
    let issuer = Issuer::start(&[&one, &two]);
    let admin = key("admin = true");
    let config = format!("[auth.jwt]\njwks_url = {:?}\n{}", issuer.url, admin.toml);
    let hub = Hub::with_config(&config);
    issuer.is_asked();
    let (mut of_one, mut of_two) = (listener(&hub, &one.token()), listener(&hub, &two.token()));
    let mut admins = listener(&hub, &admin.text);
    issuer.has(&[&two]);
    reload(&hub, &admin);
    issuer.is_asked();
    assert_eq!(of_one.closed().code, 4003);
    of_two.expect_to_stay();
    admins.expect_to_stay();
}
