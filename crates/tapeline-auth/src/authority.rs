//! Who checks tokens and keys, as the core's `Authority`: credential → identity, with what was already checked remembered.
//!
//! The order is fixed: what is remembered, the sender's wrong tokens, the signature, the claims, revocations. It owns the
//! state that a reload swaps; `watch` has the threads that look at files, the address of keys and the store.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use ring::digest;
use tapeline_core::network::sender;
use tapeline_core::rights::{Authority, Identified, Identity};
use tapeline_core::store::{Done, Store};
use tapeline_core::{Clock, Now, Refusal};
use tapeline_schema::ErrorCode;

use crate::api_key::{self, ApiKey, ApiKeys};
use crate::claims::Claims;
use crate::failures::Failures;
use crate::fetch::Fetch;
use crate::files::{self, Seen};
use crate::generations::Generations;
use crate::invalid::{Invalid, Reason};
use crate::key::{Key, KeySet};
use crate::network;
use crate::remote::{Asked, Remote, Waiting, Why};
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
    /// The store's version of the mark when it was last looked at, and how often.
    pub mark: AtomicU64,
    pub looks: AtomicU32,
    rights: rights::Shared,
    /// By the digest of the token.
    remembered: Mutex<Generations<[u8; 32], Arc<Identity>>>,
    failures: Mutex<Failures>,
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
    keys: KeySet,
    api_keys: ApiKeys,
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
        let shared = Arc::new(Shared {
            is_on,
            state: ArcSwap::from_pointee(state.with(&[])),
            store,
            clock,
            fetch,
            remote: Mutex::default(),
            wake: Condvar::new(),
            revoked: RwLock::default(),
            revision: AtomicU64::new(0),
            mark: AtomicU64::new(0),
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

    /// How long a connection may take to say who it is.
    pub fn first_message_timeout(&self) -> Duration {
        self.shared.state.load().settings.first_message_timeout
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
        Ok(State { settings, files, local, keys: KeySet::default(), api_keys })
    }

    /// With the keys that were fetched.
    fn with(mut self, fetched: &[Key]) -> Self {
        self.keys = KeySet::new(self.local.iter().chain(fetched).cloned().collect());
        self
    }

    /// Whether the same keys would be taken from the same address.
    pub(crate) fn fetches_like(&self, other: &Self) -> bool {
        let (this, that) = (&self.settings.jwt, &other.settings.jwt);
        this.jwks_url == that.jwks_url && this.algorithms == that.algorithms
    }

    fn copied(&self) -> Self {
        State {
            settings: self.settings.clone(),
            files: self.files.clone(),
            local: self.local.clone(),
            keys: KeySet::default(),
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
        let before = self.state.load_full();
        if !next.fetches_like(&before) {
            // The keys of another issuer are not believed any more.
            let waiting = {
                let mut remote = self.remote();
                let waiting = remote.give_up();
                *remote = Remote::default();
                waiting
            };
            waiting.into_iter().for_each(|waiting| self.refuse_waiting(waiting, Why::OutOfReach));
        }
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

    /// The files were looked at, and could not be used: they are not tried again as they are.
    pub(crate) fn on_broken_files(&self, files: Seen) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let copied = self.state.load().copied();
        self.change(State { files, ..copied });
    }

    /// Swaps the state; called by one at a time. What was checked with the keys of before is checked again.
    fn change(&self, next: State) {
        let fetched = self.remote().keys(self.clock.now()).to_vec();
        self.state.store(Arc::new(next.with(&fetched)));
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.revision.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn identify(&self, credential: &str, address: &str, answer: Identified) {
        let now = self.clock.now();
        let judged = self.judge(credential, address, now);
        match judged {
            Err(Stopped::Invalid(invalid)) if self.may_be_fetched(&invalid) => {
                let waiting =
                    Waiting { credential: credential.to_string(), address: address.to_string(), answer };
                let asked = self.remote().ask(waiting, now);
                match asked {
                    Asked::Waits => self.wake.notify_all(),
                    Asked::Refused(waiting, why) => self.refuse_waiting(waiting, why),
                }
            }
            judged => self.answer(judged, address, now, answer),
        }
    }

    /// After a fetch: what waited for it.
    pub(crate) fn judge_waiting(&self, waiting: Waiting) {
        let now = self.clock.now();
        let Waiting { credential, address, answer } = waiting;
        let judged = self.judge(&credential, &address, now);
        let is_unknown = matches!(&judged, Err(Stopped::Invalid(invalid)) if self.may_be_fetched(invalid));
        if is_unknown && self.remote().keys(now).is_empty() {
            return self.refuse_waiting(Waiting { credential, address, answer }, Why::OutOfReach);
        }
        self.answer(judged, &address, now, answer);
    }

    fn may_be_fetched(&self, invalid: &Invalid) -> bool {
        invalid.reason == Reason::UnknownKey && !self.state.load().settings.jwt.jwks_url.is_empty()
    }

    fn refuse_waiting(&self, Waiting { address, answer, .. }: Waiting, why: Why) {
        match why {
            Why::Known => {
                let invalid = Invalid::new(Reason::UnknownKey, "it is not in the set that was fetched last");
                self.answer(Err(Stopped::Invalid(invalid)), &address, self.clock.now(), answer);
            }
            Why::OutOfReach => {
                let told = "the keys that tokens are checked with are out of reach";
                answer(Err(Refusal::new(ErrorCode::Degraded, told)));
            }
        }
    }

    fn answer(&self, judged: Result<Arc<Identity>, Stopped>, address: &str, now: Now, answer: Identified) {
        match judged {
            Ok(identity) => answer(Ok(identity)),
            Err(Stopped::Invalid(invalid)) => {
                tracing::debug!(address, "a credential was refused: {invalid}");
                if let Some(sender) = network::address(address).map(sender) {
                    let a_minute = self.state.load().settings.failures_per_minute;
                    self.failures.lock().unwrap_or_else(PoisonError::into_inner).count(sender, a_minute, now);
                }
                answer(Err(Refusal::new(ErrorCode::InvalidToken, invalid.reason.text())));
            }
            Err(Stopped::Waits(time)) => {
                let seconds = time.as_millis().div_ceil(1_000);
                let told = format!(
                    "too many wrong tokens came from this address; the next is looked at in {seconds} s \
                     (auth.failures_per_minute)"
                );
                answer(Err(Refusal::new(ErrorCode::RateLimited, told).retry_after(time)));
            }
        }
    }

    fn judge(&self, credential: &str, address: &str, now: Now) -> Result<Arc<Identity>, Stopped> {
        let state = self.state.load();
        if credential.starts_with(api_key::PREFIX) {
            // Nobody guesses 256 bits, and comparing costs nothing: whoever has a key is let in beside who has none.
            let key = state.api_keys.judge(credential, address, now.wall_us).map_err(Stopped::Invalid)?;
            let identity = of_key(key);
            self.check_revoked(&identity).map_err(Stopped::Invalid)?;
            return Ok(Arc::new(identity));
        }
        let mark = mark(credential);
        let known = self.remembered.lock().unwrap_or_else(PoisonError::into_inner).find(&mark).cloned();
        if let Some(identity) =
            known.filter(|identity| identity.until_us.is_some_and(|until| until > now.wall_us))
        {
            self.check_revoked(&identity).map_err(Stopped::Invalid)?;
            return Ok(identity);
        }
        if let Some(time) = self.time_out(address, state.settings.failures_per_minute, now) {
            return Err(Stopped::Waits(time));
        }
        let identity = self.of_token(credential, &state, now.wall_us).map_err(Stopped::Invalid)?;
        let identity = Arc::new(identity);
        self.check_revoked(&identity).map_err(Stopped::Invalid)?;
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).insert(mark, identity.clone());
        Ok(identity)
    }

    fn time_out(&self, address: &str, a_minute: u32, now: Now) -> Option<Duration> {
        let sender = sender(network::address(address)?);
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).wait(sender, a_minute, now)
    }

    fn of_token(&self, token: &str, state: &State, now_us: u64) -> Result<Identity, Invalid> {
        let claims = Claims::of_token(token, &state.keys, &state.settings.jwt.rules, now_us)?;
        Ok(Identity {
            subject: claims.subject.into(),
            rights: self.rights.of(claims.rights),
            until_us: Some(claims.until_us),
            issued_us: claims.issued_us,
            token_id: claims.token_id.map(Into::into),
        })
    }

    fn check_revoked(&self, identity: &Identity) -> Result<(), Invalid> {
        let revoked = |told: &str| Err(Invalid::new(Reason::Revoked, told));
        if self.revoked.read().unwrap_or_else(PoisonError::into_inner).holds(identity) {
            return revoked("it is on the list of what was revoked");
        }
        if !identity.subject.starts_with(api_key::SUBJECT) {
            return Ok(());
        }
        match self.state.load().api_keys.of_subject(&identity.subject) {
            None => revoked("the key is not in the configuration any more"),
            Some(key) if Some(&*key.mark()) != identity.token_id.as_deref() => {
                revoked("the key has another secret now")
            }
            Some(key) if !includes(&key.rights, &identity.rights) => revoked("the key has lost rights"),
            Some(_) => Ok(()),
        }
    }
}

/// Why there is no identity.
enum Stopped {
    Invalid(Invalid),
    /// The address sent too many wrong ones.
    Waits(Duration),
}

fn of_key(key: &ApiKey) -> Identity {
    Identity {
        subject: key.subject.clone(),
        rights: key.rights.clone(),
        until_us: key.expires_us,
        issued_us: None,
        token_id: Some(key.mark().into()),
    }
}

fn includes(these: &tapeline_core::rights::Rights, those: &tapeline_core::rights::Rights) -> bool {
    fn all_in<T: PartialEq>(these: &[T], those: &[T]) -> bool {
        those.iter().all(|one| these.contains(one))
    }
    let keys = |(name, values): &(Box<str>, Vec<Box<str>>)| {
        these.keys.iter().any(|(known, all)| known == name && all_in(all, values))
    };
    all_in(&these.read, &those.read)
        && all_in(&these.publish, &those.publish)
        && all_in(&these.store_read, &those.store_read)
        && all_in(&these.store_write, &those.store_write)
        && those.keys.iter().all(keys)
        && these.operator >= those.operator
        && these.admin >= those.admin
}

/// What a token is remembered by: it is not kept itself.
fn mark(token: &str) -> [u8; 32] {
    let mut mark = [0; 32];
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    mark.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    mark
}
