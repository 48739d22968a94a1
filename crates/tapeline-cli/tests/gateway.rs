//! The gateway in this process, where a test may hold what a client cannot: the hub's own locks and settings.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::people::bearer;
use support::tls::{Authority, Pair, try_secure_at};
use tapeline_auth::api_key::{KeySettings, NewKey};
use tapeline_auth::fetch::Http;
use tapeline_auth::{Always, Auth, AuthParts};
use tapeline_brokers::{OpenParts, Opened};
use tapeline_core::hub::{Hub, HubParts};
use tapeline_core::rights;
use tapeline_core::store::Store;
use tapeline_core::{Directory, Refusal, Settings};
use tapeline_gateway::admin::{Admin, Changed, FamilyOrigin, Reloaded};
use tapeline_gateway::socketio::SocketIo;
use tapeline_gateway::tls::{Tls, TlsFiles, TlsVersion};
use tapeline_gateway::{Access, App, AppParts, Listener, LiveAccess, Side};
use tapeline_runtime::{Shards, SystemClock};
use tapeline_schema::{Catalog, CloseCode, ErrorCode, Family};

const PATIENCE: Duration = Duration::from_secs(10);

/// A configuration that is being changed: says that it was asked, and answers when the change is done.
struct Changing {
    asked: Mutex<SyncSender<()>>,
    done: Mutex<Receiver<()>>,
}

impl Admin for Changing {
    fn reload(&self) -> Result<Reloaded, Refusal> {
        Ok(Reloaded::default())
    }

    fn origins(&self) -> HashMap<String, FamilyOrigin> {
        self.asked.lock().unwrap().send(()).expect("the test waits for it");
        self.done.lock().unwrap().recv_timeout(PATIENCE).expect("the change is done soon");
        HashMap::from([("trades".to_string(), FamilyOrigin::File)])
    }

    fn add(&self, _: Family) -> Result<Changed, Refusal> {
        Err(Refusal::new(ErrorCode::InvalidRequest, "not here"))
    }

    fn remove(&self, _: &str) -> Result<Changed, Refusal> {
        Err(Refusal::new(ErrorCode::InvalidRequest, "not here"))
    }
}

/// A hub whose port is served by one thread, so that whoever blocks it blocks everybody.
struct Served {
    hub: Arc<Hub>,
    shards: Arc<Shards>,
    address: SocketAddr,
    asked: Receiver<()>,
    done: SyncSender<()>,
}

/// The admin interface, apart and behind TLS: its certificate, and the keys that it knows.
struct Apart<'a> {
    pair: &'a Pair,
    keys: Vec<KeySettings>,
}

impl Apart<'_> {
    fn authority(&self, store: Arc<dyn Store>) -> Arc<dyn rights::Authority> {
        let parts = AuthParts {
            settings: tapeline_auth::Settings { keys: self.keys.clone(), ..Default::default() },
            listens: Vec::new(),
            store,
            clock: Arc::new(SystemClock::default()),
            fetch: Arc::new(Http::new()),
        };
        Arc::new(Always(Arc::new(Auth::start(parts).expect("the keys are good"))))
    }

    fn tls(&self) -> Arc<Tls> {
        let Pair { certificate, key } = self.pair;
        let files =
            TlsFiles { certificate: certificate.clone(), key: key.clone(), min_version: TlsVersion::V1_2 };
        Arc::new(Tls::open(files).expect("it can be served"))
    }
}

impl Served {
    fn start() -> Served {
        Self::with(None)
    }

    fn with(apart: Option<&Apart>) -> Served {
        let clock = Arc::new(SystemClock::default());
        let directory = Arc::new(Directory::new(Catalog::built_in()));
        let parts = OpenParts::new("memory://", clock.clone(), 1, directory.clone());
        let Opened { broker, store, registry, .. } = tapeline_brokers::open(parts).expect("it needs nothing");
        let admin_authority = apart.map(|apart| apart.authority(store.clone()));
        let tls = apart.map(Apart::tls);
        let side = if apart.is_some() { Side::Admin } else { Side::Public };
        let hub = Arc::new(Hub::new(HubParts {
            directory,
            settings: Settings::default(),
            clock,
            broker,
            registry,
            store,
            authority: Arc::new(tapeline_core::rights::Off),
            seed: 1,
            shards: 1,
        }));
        let shards = Arc::new(Shards::start(&hub).expect("a thread can be started"));
        let (ask, asked) = sync_channel(1);
        let (done, wait) = sync_channel(1);
        let app = App::new(AppParts {
            hub: hub.clone(),
            shards: shards.clone(),
            access: Arc::new(LiveAccess::new(Access { admin: true, ..Access::default() })),
            admin: Arc::new(Changing { asked: Mutex::new(ask), done: Mutex::new(wait) }),
            admin_authority,
            audit: Arc::default(),
            address: None,
            conformance: false,
            tls: tls.clone(),
            compression: true,
            socketio: SocketIo::default(),
        });
        let (tell, told) = sync_channel(1);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener =
                    Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), side, tls).expect("a port is free");
                tell.send(listener.address()).expect("the test waits for it");
                listener.serve(app, side).await;
            });
        });
        let address = told.recv_timeout(PATIENCE).expect("it listens");
        Served { hub, shards, address, asked, done }
    }

    /// A connection on which this was asked for.
    fn ask(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).expect("it reads");
        stream
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shards.stop(CloseCode::GoingAway, "the test is over");
        self.hub.broker().close();
    }
}

/// The beginning of the answer.
fn begins(mut stream: &TcpStream) -> String {
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("an answer comes");
    String::from_utf8_lossy(&start).into_owned()
}

#[test]
fn a_list_that_waits_for_a_change_holds_up_no_other_request() {
    let served = Served::start();
    let list = served.ask("/channels");
    served.asked.recv_timeout(PATIENCE).expect("the list asks where families were declared");
    assert_eq!(begins(&served.ask("/health")), "HTTP/1.1 200");
    served.done.send(()).expect("the list waits for it");
    assert_eq!(begins(&list), "HTTP/1.1 200");
}

#[test]
fn a_connection_holds_no_settings_that_were_replaced() {
    let served = Served::start();
    let old = Arc::downgrade(&served.hub.settings());
    let connections: Vec<TcpStream> = (0..4).map(|_| served.ask("/health")).collect();
    connections.iter().for_each(|stream| assert_eq!(begins(stream), "HTTP/1.1 200"));
    served.hub.replace_settings(Settings::default());
    // Whoever has just looked at them lets go in a moment; a connection lives on.
    let end = Instant::now() + PATIENCE / 5;
    while old.upgrade().is_some() {
        assert!(Instant::now() < end, "the settings of before are still held");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(connections);
}

#[test]
fn the_admin_interface_behind_tls_lets_administrators_in_and_says_nothing_in_plain_text() {
    let (authority, [admin, user]) = (Authority::new(), [(); 2].map(|()| NewKey::make().unwrap()));
    let known = |key: &NewKey, is_admin| KeySettings {
        id: key.id.clone(),
        hash: key.hash.clone(),
        admin: is_admin,
        operator: true,
        ..KeySettings::default()
    };
    let pair = authority.pair(90);
    let keys = vec![known(&admin, true), known(&user, false)];
    let served = Served::with(Some(&Apart { pair: &pair, keys }));
    let (address, config) = (served.address.to_string(), Arc::new(authority.believed()));
    let ask = |who: &str| {
        let mut secured = try_secure_at(&address, &config).expect("its certificate is believed");
        write!(secured, "GET /stats HTTP/1.1\r\nHost: {address}\r\n{who}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        secured.read_to_string(&mut answer).expect("the hub says that it is done");
        answer.get(..12).map(str::to_string)
    };
    let [by_admin, by_user] = [&admin, &user].map(|key| ask(&bearer(&key.text)));
    assert_eq!(by_admin.as_deref(), Some("HTTP/1.1 200"));
    assert_eq!((ask("").as_deref(), by_user.as_deref()), (Some("HTTP/1.1 401"), Some("HTTP/1.1 403")));
    let mut plain = TcpStream::connect(&address).expect("it listens");
    plain.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    let asked = format!("GET /stats HTTP/1.1\r\nHost: {address}\r\n{}\r\n", bearer(&admin.text));
    plain.write_all(asked.as_bytes()).expect("it reads");
    assert_eq!(begins(&plain), "HTTP/1.1 400", "whoever has the key too");
    let stranger = Arc::new(Authority::new().believed());
    try_secure_at(&address, &stranger).expect_err("nobody else's certificate is shown");
}
