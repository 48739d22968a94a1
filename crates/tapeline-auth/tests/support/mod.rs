//! An authority in a test: its clock stands still, its store is memory, its issuer is in the process.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tapeline_auth::fetch::Fetch;
use tapeline_auth::mint::{self, Signer};
use tapeline_auth::{Algorithm, Auth, AuthParts, Fetched, JwtSettings, Settings};
use tapeline_core::rights::{Authority, Identity};
use tapeline_core::store::{Bounds, LocalStore, Store};
use tapeline_core::testkit::ManualClock;
use tapeline_core::{Clock, Refusal};

/// A fair secret.
pub(crate) const SECRET: &str = "7ZdQ1nVvT0x8oK3sWq5LrJmBcHyEfGuA7ZdQ1nVvT0x8oK3sWq5LrJmBcHyEfG4t";
/// An address that is nobody's.
pub(crate) const FROM: &str = "192.0.2.1";
/// Longer than anything takes here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An authority and what it stands on.
pub(crate) struct Desk {
    pub clock: Arc<ManualClock>,
    pub store: Arc<dyn Store>,
    pub issuer: Arc<Issuer>,
    pub auth: Auth,
}

impl Desk {
    pub(crate) fn new(settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::default());
        let store = Arc::new(LocalStore::new(clock.clone(), Bounds::default()));
        Self::beside(clock, store, settings)
    }

    /// Another node of the same hub.
    pub(crate) fn beside(clock: Arc<ManualClock>, store: Arc<dyn Store>, settings: Settings) -> Self {
        let issuer = Arc::new(Issuer::default());
        let auth = Auth::start(AuthParts {
            settings,
            listens: Vec::new(),
            store: store.clone(),
            clock: clock.clone(),
            fetch: issuer.clone(),
        });
        Desk { clock, store, issuer, auth: auth.unwrap() }
    }

    /// One that takes tokens with the secret.
    pub(crate) fn with_secret() -> Self {
        Self::new(secret_settings())
    }

    pub(crate) fn identify(&self, credential: &str) -> Result<Arc<Identity>, Refusal> {
        self.identify_from(credential, FROM)
    }

    pub(crate) fn identify_from(&self, credential: &str, address: &str) -> Result<Arc<Identity>, Refusal> {
        self.ask(credential, address).recv_timeout(PATIENCE).expect("it answers")
    }

    /// Asks, and has the answer come.
    pub(crate) fn ask(&self, credential: &str, address: &str) -> Receiver<Result<Arc<Identity>, Refusal>> {
        let (answer, answered) = sync_channel(1);
        self.auth.identify(credential, address, Box::new(move |found| answer.send(found).unwrap()));
        answered
    }

    /// What is told of a credential that is not believed.
    pub(crate) fn refused(&self, credential: &str) -> String {
        self.identify(credential).expect_err(credential).message
    }

    pub(crate) fn now_s(&self) -> u64 {
        self.clock.now().wall_us / 1_000_000
    }

    /// Claims of `u1` for ten minutes from now, changed.
    pub(crate) fn claims(&self, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Value {
        let now = self.now_s();
        let mut claims = json!({"sub": "u1", "iat": now, "exp": now + 600});
        change(claims.as_object_mut().unwrap());
        claims
    }

    /// A token by the secret, with these claims.
    pub(crate) fn token(&self, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
        signed(&self.claims(change))
    }
}

pub(crate) fn secret_settings() -> Settings {
    let jwt = JwtSettings { secret: SECRET.to_string(), ..JwtSettings::default() };
    Settings { jwt, failures_per_minute: 0, ..Settings::default() }
}

pub(crate) fn signed(claims: &Value) -> String {
    signer().token(claims, None, "JWT").unwrap()
}

pub(crate) fn signer() -> Signer {
    Signer::secret(Algorithm::Hs256, SECRET.as_bytes()).unwrap()
}

/// Who has a set of keys at an address: answers are given to it, and each fetch waits for its own.
#[derive(Default)]
pub(crate) struct Issuer {
    state: Mutex<(VecDeque<Result<Fetched, String>>, usize)>,
    given: Condvar,
}

impl Issuer {
    pub(crate) fn give(&self, answer: Result<String, &str>) {
        let fetched = answer.map(|body| Fetched { body: body.into_bytes(), max_age: None });
        self.state.lock().unwrap().0.push_back(fetched.map_err(str::to_string));
        self.given.notify_all();
    }

    /// How often it was asked.
    pub(crate) fn fetches(&self) -> usize {
        self.state.lock().unwrap().1
    }

    /// Returns when it has been asked so often.
    pub(crate) fn wait_for(&self, fetches: usize) {
        let state = self.state.lock().unwrap();
        let waited = self.given.wait_timeout_while(state, PATIENCE, |state| state.1 < fetches).unwrap();
        assert!(!waited.1.timed_out(), "nobody fetched");
    }
}

impl Fetch for Issuer {
    fn fetch(&self, _url: &str) -> Result<Fetched, String> {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        self.given.notify_all();
        let (mut state, late) =
            self.given.wait_timeout_while(state, PATIENCE, |state| state.0.is_empty()).unwrap();
        assert!(!late.timed_out(), "a fetch was not expected");
        state.0.pop_front().unwrap()
    }
}

/// A pair of keys under a name, as its issuer has it.
pub(crate) struct Named {
    pub id: &'static str,
    pub pair: mint::Pair,
}

impl Named {
    pub(crate) fn make(id: &'static str) -> Self {
        Named { id, pair: mint::pair(Algorithm::EdDsa).unwrap() }
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        let signer = Signer::private_key(Algorithm::EdDsa, self.pair.private.as_bytes()).unwrap();
        signer.token(claims, Some(self.id), "JWT").unwrap()
    }

    /// As it stands in a set.
    pub(crate) fn jwk(&self) -> Value {
        use base64::Engine;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        let text: String = self.pair.public.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(text).unwrap();
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "use": "sig", "alg": "EdDSA",
               "x": URL_SAFE_NO_PAD.encode(&der[der.len() - 32..])})
    }
}

/// A set of keys.
pub(crate) fn set(keys: &[&Named]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// A revocation that is waited for.
pub(crate) fn revoke(auth: &Auth, what: tapeline_auth::What) -> tapeline_auth::Revocation {
    let (done, kept): (SyncSender<_>, _) = sync_channel(1);
    auth.revoke(what, Box::new(move |outcome| done.send(outcome).unwrap()));
    kept.recv_timeout(PATIENCE).unwrap().unwrap()
}

/// Returns when the condition holds; the authority's threads look every two seconds.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < until, "{what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
