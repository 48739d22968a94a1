//! The threads of an authority: one looks at files and at the store every two seconds, one fetches keys. Both hold the shared
//! state and end when they are told to.

use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use tapeline_core::Now;

use crate::authority::Shared;
use crate::jwks;
use crate::key::Key;
use crate::remote::{Remote, Source, Why};

/// How often files and the store are looked at.
const LOOK: Duration = Duration::from_secs(2);

pub(crate) fn start(shared: &Arc<Shared>) -> Result<(), String> {
    let told = |error| format!("a thread could not be started: {error}");
    let looking = shared.clone();
    thread::Builder::new().name("auth-look".to_string()).spawn(move || look(&looking)).map_err(told)?;
    let fetching = shared.clone();
    thread::Builder::new().name("auth-fetch".to_string()).spawn(move || fetch(&fetching)).map_err(told)?;
    Ok(())
}

fn look(shared: &Arc<Shared>) {
    loop {
        shared.look_for_revocations();
        shared.look_at_files();
        let stopping = shared.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = shared.stopped.wait_timeout_while(stopping, LOOK, |stopping| !*stopping);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
    }
}

/// Waits until the set of keys is due or wanted, and fetches it.
fn fetch(shared: &Arc<Shared>) {
    while !shared.is_stopping() {
        let mut remote = shared.remote();
        let source = remote.source().clone();
        let idle = if source.url.is_empty() { LOOK } else { remote.idle(shared.clock.now()) };
        if !idle.is_zero() {
            // Whatever wakes it, it looks again what there is to do.
            drop(shared.wake.wait_timeout(remote, idle).unwrap_or_else(PoisonError::into_inner));
            continue;
        }
        remote.on_asking();
        drop(remote);
        shared.fetch_keys(&source);
    }
    let left = shared.remote().give_up();
    left.into_iter().for_each(|waiting| shared.refuse_waiting(waiting, Why::OutOfReach));
}

impl Shared {
    fn is_stopping(&self) -> bool {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fetch_keys(&self, source: &Source) {
        let Source { url, algorithms } = source;
        let outcome = self.fetch.fetch(url).and_then(|fetched| {
            let taken = jwks::read(algorithms, &fetched.body)?;
            if taken.keys.is_empty() {
                return Err(format!("has no key that can be used: {}", taken.passed_over.join("; ")));
            }
            Ok((taken.keys, fetched.max_age))
        });
        match &outcome {
            Ok((keys, _)) => tracing::debug!(keys = keys.len(), "{url} was fetched"),
            Err(told) => tracing::warn!("auth.jwt.jwks_url {url} {told}; what was fetched before goes on"),
        }
        // The settings may change meanwhile; then who waits waits for a fetch from there.
        let Some(is_other) = self.if_still(source, |remote, now| {
            remote.on_fetched(outcome, now);
            let found = fingerprint(remote.keys(now));
            std::mem::replace(&mut remote.applied, found.clone()) != found
        }) else {
            return;
        };
        if is_other {
            self.on_keys();
        }
        let Some(waiting) = self.if_still(source, |remote, _| remote.on_applied()) else { return };
        waiting.into_iter().for_each(|waiting| self.judge_waiting(waiting));
    }

    /// Does something with the remote set while it is still this one.
    fn if_still<T>(&self, source: &Source, then: impl FnOnce(&mut Remote, Now) -> T) -> Option<T> {
        let mut remote = self.remote();
        (remote.source() == source).then(|| then(&mut remote, self.clock.now()))
    }

    fn look_at_files(&self) {
        match self.reread() {
            None => {}
            Some(Ok(())) => tracing::info!("the keys of tokens were read again"),
            Some(Err(told)) => tracing::warn!("the keys of tokens stay as they were: {told}"),
        }
    }
}

fn fingerprint(keys: &[Key]) -> Vec<u8> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    keys.iter().for_each(|key| key.fingerprint(&mut context));
    context.finish().as_ref().to_vec()
}
