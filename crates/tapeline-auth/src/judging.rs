//! How a credential is judged and answered: what is remembered, the sender's wrong tokens, the signature, the claims,
//! revocations, in this order. Where a key is not known yet, it waits for the set of keys.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ring::digest;
use tapeline_core::network::sender;
use tapeline_core::rights::{Identified, Identity, Rights};
use tapeline_core::{Now, Refusal};
use tapeline_schema::ErrorCode;

use crate::api_key::{self, ApiKey};
use crate::authority::{Shared, State};
use crate::claims::Claims;
use crate::invalid::{Invalid, Reason};
use crate::network;
use crate::remote::{Asked, Waiting, Why};
use crate::settings::Settings;

impl Shared {
    pub(crate) fn identify(&self, credential: &str, address: &str, answer: Identified) {
        let now = self.clock.now();
        let revision = self.revision.load(Ordering::Acquire);
        let judged = self.judge(credential, address, now);
        match judged {
            Err(Stopped::Invalid(invalid)) if self.may_be_fetched(&invalid) => {
                let sender = counted(address, &self.state.load().settings);
                let (credential, address) = (credential.to_string(), address.to_string());
                let waiting = Waiting { credential, address, sender, answer };
                let asked = self.remote().ask(waiting, now);
                match asked {
                    Asked::Waits => self.wake.notify_all(),
                    // It was judged by keys of before; those that have come meanwhile may have the one it needs.
                    Asked::Refused(waiting, _) if self.revision.load(Ordering::Acquire) != revision => {
                        self.judge_waiting(waiting);
                    }
                    Asked::Refused(waiting, why) => self.refuse_waiting(waiting, why),
                }
            }
            judged => self.answer(judged, address, now, answer),
        }
    }

    /// After a fetch: what waited for it.
    pub(crate) fn judge_waiting(&self, waiting: Waiting) {
        let now = self.clock.now();
        let Waiting { credential, address, sender, answer } = waiting;
        let judged = self.judge(&credential, &address, now);
        let is_unknown = matches!(&judged, Err(Stopped::Invalid(invalid)) if self.may_be_fetched(invalid));
        if is_unknown && self.remote().keys(now).is_empty() {
            return self.refuse_waiting(Waiting { credential, address, sender, answer }, Why::OutOfReach);
        }
        self.answer(judged, &address, now, answer);
    }

    fn may_be_fetched(&self, invalid: &Invalid) -> bool {
        invalid.reason == Reason::UnknownKey && !self.state.load().settings.jwt.jwks_url.is_empty()
    }

    /// Of these nothing is counted: it says as much of the keys as of the token.
    pub(crate) fn refuse_waiting(&self, Waiting { address, answer, .. }: Waiting, why: Why) {
        let degraded = |told| Refusal::new(ErrorCode::Degraded, told);
        answer(Err(match why {
            Why::Known => {
                tracing::debug!(address, "a token's key is not in the set that was fetched last");
                Refusal::new(ErrorCode::InvalidToken, Reason::UnknownKey.text())
            }
            Why::OutOfReach => degraded("the keys that tokens are checked with are out of reach"),
            Why::Full => degraded("too many tokens wait for the keys that they are checked with; try again"),
        }));
    }

    fn answer(&self, judged: Result<Arc<Identity>, Stopped>, address: &str, now: Now, answer: Identified) {
        match judged {
            Ok(identity) => answer(Ok(identity)),
            Err(Stopped::Invalid(invalid)) => {
                tracing::debug!(address, "a credential was refused: {invalid}");
                let settings = &self.state.load().settings;
                if let Some(sender) = counted(address, settings).filter(|_| is_junk(invalid.reason)) {
                    let a_minute = settings.failures_per_minute;
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
        let state = self.state.load_full();
        if credential.starts_with(api_key::PREFIX) {
            // Nobody guesses 256 bits, and comparing costs nothing: whoever has a key is let in beside who has none.
            let from = network::address(address);
            let key = state.api_keys.judge(credential, from, now.wall_us).map_err(Stopped::Invalid)?;
            let identity = of_key(key, from);
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
        if let Some(time) = self.time_out(address, &state.settings, now) {
            return Err(Stopped::Waits(time));
        }
        let identity = self.of_token(credential, &state, now.wall_us).map_err(Stopped::Invalid)?;
        let identity = Arc::new(identity);
        self.check_revoked(&identity).map_err(Stopped::Invalid)?;
        self.remember(mark, &identity, &state);
        Ok(identity)
    }

    /// Unless the keys that it was checked with have been changed meanwhile: a change forgets all only once.
    fn remember(&self, mark: [u8; 32], identity: &Arc<Identity>, state: &Arc<State>) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(state, &self.state.load()) {
            remembered.insert(mark, identity.clone());
        }
    }

    fn time_out(&self, address: &str, settings: &Settings, now: Now) -> Option<Duration> {
        let sender = counted(address, settings)?;
        let a_minute = settings.failures_per_minute;
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).wait(sender, a_minute, now)
    }

    fn of_token(&self, token: &str, state: &State, now_us: u64) -> Result<Identity, Invalid> {
        let (claims, key) = Claims::shown(token, &state.keys, &state.settings.jwt.rules, now_us)?;
        Ok(Identity {
            subject: claims.subject.into(),
            rights: self.rights.of(claims.rights),
            until_us: Some(claims.until_us),
            issued_us: claims.issued_us,
            token_id: claims.token_id.map(Into::into),
            key: Some(key),
            from: None,
        })
    }

    pub(crate) fn check_revoked(&self, identity: &Identity) -> Result<(), Invalid> {
        let revoked = |told: &str| Err(Invalid::new(Reason::Revoked, told));
        let state = self.state.load();
        let (now_us, leeway_us) = (self.clock.now().wall_us, state.settings.jwt.rules.leeway_us());
        if self.revoked.read().unwrap_or_else(PoisonError::into_inner).holds(identity, now_us, leeway_us) {
            return revoked("it is on the list of what was revoked");
        }
        if identity.is_anonymous() && !state.settings.anonymous {
            return revoked("nobody is let in without a token any more");
        }
        if identity.subject.starts_with(api_key::SUBJECT) {
            return lost_by(state.api_keys.of_subject(&identity.subject), identity).map_or(Ok(()), revoked);
        }
        if identity.key.is_some_and(|key| !state.stands_by(&key)) {
            return revoked("the key that signed it is not believed any more");
        }
        Ok(())
    }
}

/// What an API key has lost since this was shown with it.
fn lost_by(key: Option<&ApiKey>, identity: &Identity) -> Option<&'static str> {
    let Some(key) = key else { return Some("the key is not in the configuration any more") };
    let ends_before = |end: u64| identity.until_us.is_none_or(|until| end < until);
    if Some(key.mark()) != identity.key {
        Some("the key has another secret now")
    } else if key.expires_us.is_some_and(ends_before) {
        Some("the key ends sooner now")
    } else if !key.may_come_from(identity.from) {
        Some("the key is not for this address any more")
    } else if !includes(&key.rights, &identity.rights) {
        Some("the key has lost rights")
    } else {
        None
    }
}

/// Why there is no identity.
enum Stopped {
    Invalid(Invalid),
    /// The address sent too many wrong ones.
    Waits(Duration),
}

/// Whose wrong tokens are counted: not those of addresses that no limits concern.
fn counted(address: &str, settings: &Settings) -> Option<IpAddr> {
    let address = network::address(address)?;
    let is_exempt = settings.exempt.iter().any(|range| range.contains(address));
    (!is_exempt).then(|| sender(address))
}

/// Whether nobody who ever had a good token sends such a one. One that has expired or was revoked comes from clients
/// that others behind their address must not pay for.
fn is_junk(reason: Reason) -> bool {
    matches!(reason, Reason::Malformed | Reason::Algorithm | Reason::Signature | Reason::UnknownKey)
}

fn of_key(key: &ApiKey, from: Option<IpAddr>) -> Identity {
    Identity {
        subject: key.subject.clone(),
        rights: key.rights.clone(),
        until_us: key.expires_us,
        issued_us: None,
        token_id: None,
        key: Some(key.mark()),
        from,
    }
}

fn includes(these: &Rights, those: &Rights) -> bool {
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
