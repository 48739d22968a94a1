//! A running hub's configuration: what it runs with, and how it changes. A reload reads everything again and takes
//! effect as a whole or not at all; families that were added live stay. It knows no protocol: requests come through
//! the gateway's [`Admin`], signals through [`Reloader::on_hangups`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tapeline_auth::api_key::KeySettings;
use tapeline_brokers::EmbeddedBroker;
use tapeline_brokers::embedded::{FamilyUsage, is_full};
use tapeline_core::{Hub, Refusal};
use tapeline_gateway::LiveAccess;
use tapeline_gateway::admin::{
    Admin, Change, Changed, FamilyOrigin, Reloaded, Revocation, Revoke, no_directory,
};
use tapeline_gateway::data::FamilyBytes;
use tapeline_gateway::tls::Tls;
use tapeline_schema::{Catalog, ErrorCode, Family};
use tokio::signal::unix::Signal;

use crate::authority::Authorities;
use crate::config::{Config, FileFamily, Layers, Machine, Misfit, ROWS, When};
use crate::log;

/// See the module.
pub(crate) struct Reloader {
    layers: Layers,
    machine: Machine,
    parts: Parts,
    /// Held from the reading of the file until it has taken effect: of two reloads at once, the later one has the
    /// later file. Not `running`, which others ask for, and a file may take its time.
    reading: Mutex<()>,
    running: Mutex<Running>,
}

/// What of a running hub a reload changes, or an operator looks into.
pub(crate) struct Parts {
    pub hub: Arc<Hub>,
    pub access: Arc<LiveAccess>,
    pub authorities: Authorities,
    /// The certificate that is served, if one is.
    pub tls: Option<Arc<Tls>>,
    /// What is kept on disk, if anything is.
    pub embedded: Option<Arc<EmbeddedBroker>>,
}

struct Running {
    config: Config,
    live: Vec<Family>,
}

fn refused(message: String) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}

fn misfit(Misfit { family, line, error }: Misfit<'_>) -> Refusal {
    let place = match line {
        Some(line) => format!("line {line}: [[channel]] {}", family.template),
        None => format!("{}, which was added live", family.template),
    };
    Refusal::new(error.code(), format!("{place}: {error}"))
}

impl Reloader {
    pub(crate) fn new(layers: Layers, config: Config, machine: Machine, parts: Parts) -> Self {
        let running = Mutex::new(Running { config, live: Vec::new() });
        Reloader { layers, machine, parts, reading: Mutex::new(()), running }
    }

    /// `tls.expiry_alert_days` as it is now.
    pub(crate) fn expiry_alert_days(&self) -> u32 {
        self.running().config.tls.expiry_alert_days
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace_catalog(&self, catalog: Catalog) -> Result<usize, Refusal> {
        let unchanged = catalog.specs().eq(self.parts.hub.catalog().specs());
        if unchanged {
            Ok(0)
        } else {
            self.parts.hub.replace_catalog(catalog).map(|replaced| replaced.ended.len())
        }
    }

    /// Whether there is anything to read again.
    pub(crate) fn has_file(&self) -> bool {
        self.layers.path.is_some()
    }

    /// Reloads at every hang-up, and tells the log.
    pub(crate) async fn on_hangups(self: Arc<Self>, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            let this = self.clone();
            // Both outcomes are in the log already.
            let _ = tokio::task::spawn_blocking(move || this.reload()).await;
        }
    }

    fn read_again(&self) -> Result<Reloaded, Refusal> {
        if !self.has_file() {
            return Err(refused(
                "the hub was started without --config, so there is no file to read again".into(),
            ));
        }
        let _one_at_a_time = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.layers.load().map_err(|faults| refused(faults.to_string()))?.config;
        let mut running = self.running();
        let mut told = Reloaded::default();
        for row in ROWS {
            if row.is_same(&running.config, &next) {
                continue;
            }
            let name = row.name.to_string();
            let change = Change { name, from: row.show(&running.config), to: row.show(&next) };
            if row.when == When::Restart {
                row.copy(&mut next, &running.config);
                told.restart.push(change);
            } else {
                told.changed.push(change);
            }
        }
        let tls = self.parts.tls.as_ref().zip(next.tls.files());
        if let Some((_, files)) = &tls
            && told.changed.iter().any(|change| change.name.starts_with("tls."))
        {
            files.check().map_err(|error| refused(error.to_string()))?;
        }
        compare_families(&mut told, &running.config.families, &next.families);
        // The only steps that can still be refused; from here on all of it is done.
        let catalog = next.catalog(&running.live).map_err(misfit)?;
        told.changed.extend(changed_keys(&running.config.auth.keys, &next.auth.keys));
        let stays = self.parts.authorities.replace(&next.auth)?;
        let is_told = told.restart.iter().any(|change| change.name == "auth.mode");
        told.restart.extend(stays.filter(|_| !is_told));
        told.channels_ended = self.replace_catalog(catalog).inspect_err(|_| {
            if let Err(refusal) = self.parts.authorities.replace(&running.config.auth) {
                tracing::error!(%refusal, "the keys of before could not be read again");
            }
        })?;
        self.parts.hub.replace_settings(next.settings(self.machine));
        self.parts.access.replace(next.access());
        log::set(&next.log, next.log_format);
        if let Some((tls, files)) = tls {
            tls.replace(files);
        }
        running.config = next;
        Ok(told)
    }

    /// Changes the families added live.
    fn change_live(
        &self,
        change: impl FnOnce(&mut Running) -> Result<(), Refusal>,
    ) -> Result<usize, Refusal> {
        let mut running = self.running();
        let before = (running.live.clone(), running.config.families.clone());
        let outcome = change(&mut running)
            .and_then(|()| running.config.catalog(&running.live).map_err(|misfit| added(&misfit)))
            .and_then(|catalog| self.replace_catalog(catalog));
        if outcome.is_err() {
            (running.live, running.config.families) = before;
        }
        outcome
    }
}

fn added(misfit: &Misfit<'_>) -> Refusal {
    Refusal::new(misfit.error.code(), misfit.error.to_string())
}

/// `[[auth.key]]` is no row.
fn changed_keys(before: &[KeySettings], after: &[KeySettings]) -> Option<Change> {
    let others = after.iter().filter(|key| !before.contains(key)).count();
    let counted =
        |keys: &[KeySettings]| format!("{} key{}", keys.len(), if keys.len() == 1 { "" } else { "s" });
    (before != after).then(|| Change {
        name: "auth.key".to_string(),
        from: counted(before),
        to: format!("{}, {others} of them new or changed", counted(after)),
    })
}

fn compare_families(told: &mut Reloaded, before: &[FileFamily], after: &[FileFamily]) {
    let find = |families: &[FileFamily], name: &str| {
        families.iter().map(|found| &found.family).find(|family| family.name() == name).cloned()
    };
    for FileFamily { family, .. } in after {
        let name = family.name().to_string();
        match find(before, &name) {
            None => told.families_added.push(name),
            Some(known) if known != *family => told.families_changed.push(name),
            Some(_) => {}
        }
    }
    let gone = before.iter().map(|found| found.family.name()).filter(|name| find(after, name).is_none());
    told.families_removed.extend(gone.map(str::to_string));
}

impl Admin for Reloader {
    fn reload(&self) -> Result<Reloaded, Refusal> {
        let outcome = self.read_again();
        match &outcome {
            Ok(told) => {
                for Change { name, from, to } in &told.changed {
                    tracing::info!("{name} is now {to}, was {from}");
                }
                for Change { name, from, to } in &told.restart {
                    tracing::warn!(
                        "{name} stays {from} until the hub is started again; the new value is {to}"
                    );
                }
                tracing::info!(
                    added = ?told.families_added, changed = ?told.families_changed,
                    removed = ?told.families_removed, "the configuration was read again"
                );
            }
            Err(refusal) => {
                tracing::error!(
                    "the configuration was not reloaded, nothing has changed: {}",
                    refusal.message
                );
            }
        }
        outcome
    }

    fn revoke(&self, what: Revoke) -> Result<Revocation, Refusal> {
        self.parts.authorities.revoke(what)
    }

    fn revocations(&self) -> Result<Vec<Revocation>, Refusal> {
        self.parts.authorities.revocations()
    }

    fn backup(&self, out: &mut dyn std::io::Write) -> Result<(), Refusal> {
        let broker = self.parts.embedded.as_ref().ok_or_else(no_directory)?;
        broker.backup(out).map_err(|error| {
            let code = if is_full(&error) { ErrorCode::StorageFull } else { ErrorCode::Internal };
            Refusal::new(code, format!("the backup broke off: {error}"))
        })
    }

    fn usage(&self) -> Result<Vec<FamilyBytes>, Refusal> {
        let broker = self.parts.embedded.as_ref().ok_or_else(no_directory)?;
        let usage = broker.usage();
        let usage = usage.map_err(|error| Refusal::new(ErrorCode::Internal, error.to_string()))?;
        let bytes = |found: FamilyUsage| FamilyBytes {
            family: found.family,
            live: found.live,
            log: found.log,
            snapshot: found.snapshot,
        };
        Ok(usage.into_iter().map(bytes).collect())
    }

    fn origins(&self) -> HashMap<String, FamilyOrigin> {
        let running = self.running();
        let file = running.config.families.iter().map(|found| (&found.family, FamilyOrigin::File));
        let live = running.live.iter().map(|family| (family, FamilyOrigin::Live));
        file.chain(live).map(|(family, origin)| (family.name().to_string(), origin)).collect()
    }

    fn add(&self, family: Family) -> Result<Changed, Refusal> {
        let name = family.name().to_string();
        let channels_ended = self.change_live(|running| {
            running.live.push(family);
            Ok(())
        })?;
        tracing::info!(family = name, channels_ended, "a family was added");
        let note = "it lives until the hub ends; add it to the configuration file to keep it".to_string();
        Ok(Changed { family: name, channels_ended, note })
    }

    fn remove(&self, family: &str) -> Result<Changed, Refusal> {
        let mut note = "it is gone";
        let channels_ended = self.change_live(|running| {
            let (live, file) = (running.live.len(), running.config.families.len());
            running.live.retain(|known| known.name() != family);
            if running.live.len() == live {
                running.config.families.retain(|known| known.family.name() != family);
                note =
                    "it comes back with the next reload or start; remove it from the configuration file too";
            }
            if (live, file) != (running.live.len(), running.config.families.len()) {
                return Ok(());
            }
            Err(match Catalog::built_in().family(family) {
                Some(_) => refused(format!("family {family} is built in and cannot be removed")),
                None => Refusal::new(ErrorCode::NotFound, format!("no family is called {family}")),
            })
        })?;
        tracing::info!(family, channels_ended, "a family was removed");
        Ok(Changed { family: family.to_string(), channels_ended, note: note.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_added_changed_or_gone_are_told_without_what_they_are() {
        let key = |id: &str, operator| KeySettings { id: id.into(), operator, ..KeySettings::default() };
        let told = |before: &[_], after: &[_]| changed_keys(before, after).map(|told| (told.from, told.to));
        let words = |from: &str, to: &str| Some((from.to_string(), to.to_string()));
        assert_eq!(told(&[key("a", false)], &[key("a", false)]), None);
        assert_eq!(told(&[], &[key("a", false)]), words("0 keys", "1 key, 1 of them new or changed"));
        assert_eq!(
            told(&[key("a", false)], &[key("a", true), key("b", true)]),
            words("1 key", "2 keys, 2 of them new or changed")
        );
        assert_eq!(told(&[key("a", true)], &[]), words("1 key", "0 keys, 0 of them new or changed"));
    }
}
