//! Who is asked who they are: the authority of the hub and, where the admin interface listens apart, that one's own, both
//! from one configuration. They check tokens and keys; this file only puts them together and changes them.

use std::sync::Arc;

use anyhow::Context;
use tapeline_auth::fetch::Http;
use tapeline_auth::{Auth, AuthParts, Mode, Settings};
use tapeline_core::rights::Authority;
use tapeline_core::store::Store;
use tapeline_core::{Clock, Refusal};
use tapeline_schema::ErrorCode;

use crate::config::Config;

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
