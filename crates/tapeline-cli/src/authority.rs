//! Who is asked who they are: the authority of the hub and, where it listens apart, of the admin interface, which asks
//! everybody. They check tokens and keys; this file only puts them together from the configuration, and changes them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tapeline_auth::fetch::Http;
use tapeline_auth::{Always, Auth, AuthParts, Mode, Settings, What, advice};
use tapeline_core::clock::rfc3339;
use tapeline_core::rights::Authority;
use tapeline_core::store::Store;
use tapeline_core::{Clock, Refusal};
use tapeline_gateway::admin::{Change, Revocation, Revoke, no_tokens};
use tapeline_schema::ErrorCode;

use crate::config::Config;

/// How long the store is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
pub(crate) struct Authorities {
    hub: Arc<Auth>,
    /// Whether the admin interface listens apart.
    apart: bool,
    /// Where everything else listens.
    listens: Vec<SocketAddr>,
}

/// Whether a hub with this configuration would start, as far as those are concerned who are asked.
///
/// # Errors
/// The first setting that cannot be, in a sentence.
pub(crate) fn check(config: &Config) -> Result<(), String> {
    check_admin(!config.admin_listen.is_empty(), &config.auth)?;
    advice::check(&config.auth, &listens(config))
}

fn listens(config: &Config) -> Vec<SocketAddr> {
    [&*config.serve.listen, &config.tls.listen, &config.redis.listen].concat()
}

impl Authorities {
    /// Reads the keys.
    pub(crate) fn start(
        config: &Config,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        check(config).map_err(anyhow::Error::msg)?;
        let (apart, listens) = (!config.admin_listen.is_empty(), listens(config));
        let parts = AuthParts {
            settings: config.auth.clone(),
            listens: listens.clone(),
            store: store.clone(),
            clock: clock.clone(),
            fetch: Arc::new(Http::new()),
        };
        let hub = Auth::start(parts).map_err(anyhow::Error::msg)?;
        if config.auth.mode == Mode::Off {
            tracing::warn!(
                "authentication is off (auth.mode): who reaches this hub may read, publish and change everything"
            );
        }
        Ok(Authorities { hub: Arc::new(hub), apart, listens })
    }

    /// Who is asked everywhere else.
    pub(crate) fn of_hub(&self) -> Arc<dyn Authority> {
        self.hub.clone()
    }

    /// Who is asked on the admin interface, where it listens apart: everybody, whatever else is off.
    pub(crate) fn of_admin(&self) -> Option<Arc<dyn Authority>> {
        self.apart.then(|| Arc::new(Always(self.hub.clone())) as Arc<dyn Authority>)
    }

    /// Takes over other settings, or nothing of them. Whether everybody is asked stays as it is; answers what would be
    /// otherwise if the hub were started now.
    pub(crate) fn replace(&self, settings: &Settings) -> Result<Option<Change>, Refusal> {
        let refused = |told| Refusal::new(ErrorCode::InvalidRequest, told);
        check_admin(self.apart, settings).map_err(refused)?;
        let would_be_on = settings.is_on(&self.listens).map_err(refused)?;
        self.hub.replace(settings.clone()).map_err(refused)?;
        let is_on = !self.hub.is_off();
        let word = |is_on| if is_on { "on" } else { "off" }.to_string();
        let change = || Change { name: "auth.mode".to_string(), from: word(is_on), to: word(would_be_on) };
        Ok((is_on != would_be_on).then(change))
    }
}

impl Authorities {
    /// Takes tokens back. Waits until that is kept.
    pub(crate) fn revoke(&self, what: Revoke) -> Result<Revocation, Refusal> {
        self.takes_back()?;
        let what = match what {
            Revoke::Subject(subject) => What::Subject(subject.into()),
            Revoke::TokenId(id) => What::Token(id.into()),
        };
        let (to, done) = sync_channel(1);
        let answer = move |outcome| {
            // Whoever asked may have given up.
            let _ = to.send(outcome);
        };
        self.hub.revoke(what, Box::new(answer));
        let late = |_| Err(Refusal::new(ErrorCode::Degraded, "the store has not answered; ask again"));
        done.recv_timeout(PATIENCE).unwrap_or_else(late).map(told)
    }

    /// Whether anybody is asked anywhere.
    fn takes_back(&self) -> Result<(), Refusal> {
        if self.hub.is_off() && !self.apart { Err(no_tokens()) } else { Ok(()) }
    }

    /// What has been taken back.
    pub(crate) fn revocations(&self) -> Result<Vec<Revocation>, Refusal> {
        self.takes_back()?;
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

/// Whether somebody could come in by the admin interface, where it listens apart.
fn check_admin(apart: bool, settings: &Settings) -> Result<(), String> {
    if !apart || settings.jwt.is_configured() || settings.keys.iter().any(|key| key.admin) {
        return Ok(());
    }
    Err("admin.listen takes an [[auth.key]] with admin = true (tapeline token key --admin)".to_string())
}
