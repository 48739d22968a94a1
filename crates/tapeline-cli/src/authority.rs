//! Who is asked who they are: the authority of the hub and, where the admin interface listens apart, that one's own, both
//! from one configuration. They check tokens and keys; this file only puts them together and changes them.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::Context;
use tapeline_auth::fetch::Http;
use tapeline_auth::{Auth, AuthParts, Mode, Settings, What};
use tapeline_core::clock::rfc3339;
use tapeline_core::rights::Authority;
use tapeline_core::store::Store;
use tapeline_core::{Clock, Refusal};
use tapeline_gateway::admin::{Revocation, Revoke, no_tokens};
use tapeline_schema::ErrorCode;

use crate::config::Config;

/// How long the store is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Clone)]
pub(crate) struct Authorities {
    /// Of everybody.
    pub hub: Arc<Auth>,
    /// Of the admin interface, where it listens apart.
    pub admin: Option<Arc<Auth>>,
}

impl Authorities {
    /// Reads the keys.
    pub(crate) fn start(
        config: &Config,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let start = |settings, listens: &[_]| {
            let (store, clock, fetch) = (store.clone(), clock.clone(), Arc::new(Http::new()));
            let parts = AuthParts { settings, listens: listens.to_vec(), store, clock, fetch };
            Auth::start(parts).map(Arc::new).map_err(anyhow::Error::msg)
        };
        let hub = start(config.auth.clone(), &config.serve.listen)?;
        if config.auth.mode == Mode::Off {
            tracing::warn!(
                "authentication is off (auth.mode): who reaches this hub may read, publish and change everything"
            );
        }
        let apart = !config.admin_listen.is_empty();
        let settings = apart.then(|| of_admin(&config.auth)).transpose().map_err(anyhow::Error::msg)?;
        let admin = settings.map(|settings| start(settings, &config.admin_listen)).transpose();
        Ok(Authorities { hub, admin: admin.context("the admin interface cannot be opened (admin.listen)")? })
    }

    /// For the gateway.
    pub(crate) fn of_admin(&self) -> Option<Arc<dyn Authority>> {
        self.admin.clone().map(|admin| admin as Arc<dyn Authority>)
    }

    /// Takes over other settings, or nothing of them.
    pub(crate) fn replace(&self, settings: &Settings) -> Result<(), Refusal> {
        let refused = |told| Refusal::new(ErrorCode::InvalidRequest, told);
        let Some(admin) = &self.admin else { return self.hub.replace(settings.clone()).map_err(refused) };
        let keys = of_admin(settings).map_err(refused)?;
        self.hub.replace(settings.clone()).map_err(refused)?;
        // The same keys have just been read.
        admin.replace(keys).map_err(refused)
    }
}

impl Authorities {
    /// Takes tokens back. Waits until that is kept.
    pub(crate) fn revoke(&self, what: Revoke) -> Result<Revocation, Refusal> {
        if self.hub.is_off() {
            return Err(no_tokens());
        }
        let what = match what {
            Revoke::Subject(subject) => What::Subject(subject.into()),
            Revoke::TokenId(id) => What::Token(id.into()),
        };
        let (to, done) = mpsc::channel();
        let answer = move |outcome| {
            // Whoever asked may have given up.
            let _ = to.send(outcome);
        };
        self.hub.revoke(what, Box::new(answer));
        let late = |_| Err(Refusal::new(ErrorCode::Degraded, "the store has not answered; ask again"));
        done.recv_timeout(PATIENCE).unwrap_or_else(late).map(told)
    }

    /// What has been taken back.
    pub(crate) fn revocations(&self) -> Result<Vec<Revocation>, Refusal> {
        if self.hub.is_off() {
            return Err(no_tokens());
        }
        Ok(self.hub.revocations().into_iter().map(told).collect())
    }
}

fn told(found: tapeline_auth::Revocation) -> Revocation {
    let what = match found.what {
        What::Subject(subject) => Revoke::Subject(subject.to_string()),
        What::Token(id) => Revoke::TokenId(id.to_string()),
    };
    Revocation { what, at: rfc3339(found.at_us), until: found.until_us.map(rfc3339) }
}

/// The settings of the admin interface: the keys that may change the hub, and nobody else, whatever else is off.
fn of_admin(settings: &Settings) -> Result<Settings, String> {
    let keys: Vec<_> = settings.keys.iter().filter(|key| key.admin).cloned().collect();
    if keys.is_empty() {
        let told = "admin.listen takes an [[auth.key]] with admin = true (tapeline token key --admin)";
        return Err(told.to_string());
    }
    Ok(Settings {
        mode: Mode::On,
        keys,
        failures_per_minute: settings.failures_per_minute,
        ..Settings::default()
    })
}
