//! Who checks tokens and keys, as the core's `Authority`: credential → identity, with what was already checked remembered.
//!
//! It owns the state that a reload swaps. `judging` says who somebody is; `watch` has the threads that look at files, the
//! address of keys and the store.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tapeline_core::Clock;
use tapeline_core::rights::{Authority, Identified, Identity, KeyMark};
use tapeline_core::store::{Done, Store};

use crate::algorithm::Algorithm;
use crate::api_key::ApiKeys;
use crate::failures::Failures;
use crate::fetch::Fetch;
use crate::files::{self, Seen};
use crate::generations::Generations;
use crate::key::{Key, KeySet};
use crate::remote::{Remote, Source, Why};
use crate::revoked::{Revocation, Revoked, What};
use crate::settings::Settings;
use crate::{rights, watch};

/// Tokens that are remembered, of one half.
const REMEMBERED: usize = 16_384;

/// What an authority is made of.
pub struct AuthParts {
    /// Of the configuration.
    pub settings: Settings,
    /// Where the hub listens.
    pub listens: Vec<SocketAddr>,
    /// Where revocations are kept.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who fetches sets of keys.
    pub fetch: Arc<dyn Fetch>,
}

/// See the module. Its threads end with it.
pub struct Auth {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub is_on: bool,
    pub state: ArcSwap<State>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub fetch: Arc<dyn Fetch>,
    pub remote: Mutex<Remote>,
    /// Something for the fetching thread, or the end.
    pub wake: Condvar,
    pub revoked: RwLock<Revoked>,
    pub revision: AtomicU64,
    /// The store's version of the revocations when it was last looked at, and how often.
    pub revoked_version: AtomicU64,
    pub looks: AtomicU32,
    pub rights: rights::Shared,
    /// By the digest of the token.
    pub remembered: Mutex<Generations<[u8; 32], Arc<Identity>>>,
    pub failures: Mutex<Failures>,
    /// One change at a time.
    changing: Mutex<()>,
    pub stopping: Mutex<bool>,
    pub stopped: Condvar,
}

/// What a reload swaps.
pub(crate) struct State {
    pub settings: Settings,
    pub files: Seen,
    /// Those of the configuration.
    local: Vec<Key>,
    /// All, the fetched ones included.
    pub keys: KeySet,
    /// By which keys somebody was believed who still is: these, and those of the last set that came.
    marks: HashSet<KeyMark>,
    pub api_keys: ApiKeys,
}

/// What is told of it in `/health` and to operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether everybody is asked.
    pub is_on: bool,
    /// Keys that tokens are checked with.
    pub keys: usize,
    /// API keys.
    pub api_keys: usize,
    /// How long ago the set of keys was fetched, if one is and has been.
    pub fetched_ago: Option<Duration>,
    /// What is wrong with fetching it.
    pub fetch_error: Option<String>,
}

impl Auth {
    /// Reads the keys and begins to watch them.
    ///
    /// # Errors
    /// The first setting that cannot be, in a sentence.
    pub fn start(parts: AuthParts) -> Result<Self, String> {
        let AuthParts { settings, listens, store, clock, fetch } = parts;
        let is_on = settings.is_on(&listens)?;
        let rights = rights::Shared::default();
        let state = State::read(settings, &rights)?;
        let is_asked = is_on || state.settings.is_configured();
        let source = Source::of(&state.settings.jwt);
        let shared = Arc::new(Shared {
            is_on,
            state: ArcSwap::from_pointee(state.with(&[], &[])),
            store,
            clock,
            fetch,
            remote: Mutex::new(Remote::new(source)),
            wake: Condvar::new(),
            revoked: RwLock::default(),
            revision: AtomicU64::new(0),
            revoked_version: AtomicU64::new(0),
            looks: AtomicU32::new(0),
            rights,
            remembered: Mutex::new(Generations::new(REMEMBERED)),
            failures: Mutex::default(),
            changing: Mutex::default(),
            stopping: Mutex::new(false),
            stopped: Condvar::new(),
        });
        if is_asked {
            watch::start(&shared)?;
        }
        Ok(Auth { shared })
    }

    /// Takes over other settings; whether anybody is asked at all stays as it is.
    ///
    /// # Errors
    /// The first setting that cannot be; then nothing has changed.
    pub fn replace(&self, settings: Settings) -> Result<(), String> {
        self.shared.replace(settings)
    }

    /// Takes tokens back: on this node at once, on others within seconds. `done` is called when it is kept.
    pub fn revoke(&self, what: What, done: Done<Revocation>) {
        self.shared.revoke(what, done);
    }

    /// What has been taken back, the newest first.
    pub fn revocations(&self) -> Vec<Revocation> {
        let now_us = self.shared.clock.now().wall_us;
        self.shared.revoked.read().unwrap_or_else(PoisonError::into_inner).list(now_us)
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let state = self.shared.state.load();
        let remote = self.shared.remote();
        let (fetched_ago, fetch_error) = remote.state(self.shared.clock.now());
        Status {
            is_on: self.shared.is_on,
            keys: state.keys.keys().len(),
            api_keys: state.api_keys.len(),
            fetched_ago,
            fetch_error: fetch_error.map(str::to_string),
        }
    }
}

impl Drop for Auth {
    fn drop(&mut self) {
        *self.shared.stopping.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.stopped.notify_all();
        let _held = self.shared.remote();
        self.shared.wake.notify_all();
    }
}

impl Authority for Auth {
    fn is_off(&self) -> bool {
        !self.shared.is_on
    }

    fn anonymous(&self) -> Option<Arc<Identity>> {
        self.shared.anonymous()
    }

    fn identify(&self, credential: &str, address: &str, answer: Identified) {
        self.shared.identify(credential, address, answer);
    }

    fn revision(&self) -> u64 {
        self.shared.revision.load(Ordering::Acquire)
    }

    fn is_revoked(&self, identity: &Identity) -> bool {
        self.shared.check_revoked(identity).is_err()
    }
}

/// The same, asked of everybody even where authentication is off: for the admin interface.
pub struct Always(pub Arc<Auth>);

impl Authority for Always {
    fn is_off(&self) -> bool {
        false
    }

    fn anonymous(&self) -> Option<Arc<Identity>> {
        None
    }

    fn identify(&self, credential: &str, address: &str, answer: Identified) {
        self.0.identify(credential, address, answer);
    }

    fn revision(&self) -> u64 {
        self.0.revision()
    }

    fn is_revoked(&self, identity: &Identity) -> bool {
        self.0.is_revoked(identity)
    }
}

impl State {
    fn read(settings: Settings, shared: &rights::Shared) -> Result<Self, String> {
        if !settings.jwt.jwks_url.is_empty() {
            crate::settings::check_url(&settings.jwt.jwks_url)
                .map_err(|told| format!("auth.jwt.jwks_url: {told}"))?;
        }
        let files = files::look(&settings.jwt);
        let local = files::read(&settings.jwt)?;
        let api_keys = ApiKeys::read(&settings.keys, shared)?;
        Ok(State { settings, files, local, keys: KeySet::default(), marks: HashSet::new(), api_keys })
    }

    /// With the keys that were fetched, and the marks of those that were.
    fn with(mut self, fetched: &[Key], marks: &[(Algorithm, KeyMark)]) -> Self {
        self.keys = KeySet::new(self.local.iter().chain(fetched).cloned().collect());
        let all = self.local.iter().flat_map(Key::marks).chain(marks.iter().copied());
        self.marks = all.map(|(_, mark)| mark).collect();
        self
    }

    /// Whether who was believed by this key still is.
    pub(crate) fn stands_by(&self, key: &KeyMark) -> bool {
        self.marks.contains(key)
    }

    fn copied(&self) -> Self {
        State {
            settings: self.settings.clone(),
            files: self.files.clone(),
            local: self.local.clone(),
            keys: KeySet::default(),
            marks: HashSet::new(),
            api_keys: self.api_keys.clone(),
        }
    }
}

impl Shared {
    pub(crate) fn remote(&self) -> std::sync::MutexGuard<'_, Remote> {
        self.remote.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn anonymous(&self) -> Option<Arc<Identity>> {
        self.state.load().settings.anonymous.then(|| Arc::new(Identity::stranger()))
    }

    pub(crate) fn replace(&self, settings: Settings) -> Result<(), String> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = State::read(settings, &self.rights)?;
        // The keys of another issuer are not believed any more.
        let waiting = self.remote().ask_of(Source::of(&next.settings.jwt), self.clock.now());
        waiting.into_iter().for_each(|waiting| self.refuse_waiting(waiting, Why::OutOfReach));
        self.change(next);
        self.wake.notify_all();
        Ok(())
    }

    /// The fetched keys have changed.
    pub(crate) fn on_keys(&self) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let copied = self.state.load().copied();
        self.change(copied);
    }

    /// Reads the files again where one has changed, and says what became of that; a broken one changes nothing. Nothing
    /// else changes meanwhile: a reload's settings stay.
    pub(crate) fn reread(&self) -> Option<Result<(), String>> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.load_full();
        let files = files::look(&state.settings.jwt);
        if files == state.files {
            return None;
        }
        let (next, outcome) = match State::read(state.settings.clone(), &self.rights) {
            Ok(next) => (next, Ok(())),
            // They are not tried again as they are.
            Err(told) => (State { files, ..state.copied() }, Err(told)),
        };
        self.change(next);
        Some(outcome)
    }

    /// Swaps the state; called by one at a time. What was checked with the keys of before is checked again.
    fn change(&self, next: State) {
        let next = {
            let remote = self.remote();
            next.with(remote.keys(self.clock.now()), remote.marks())
        };
        self.state.store(Arc::new(next));
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.revision.fetch_add(1, Ordering::Release);
    }
}
