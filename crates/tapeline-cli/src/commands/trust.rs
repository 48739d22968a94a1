//! Whose certificates the commands believe: those of `--ca` or `TAPELINE_CA`, else what the system believes. Said once
//! for the process; it connects nowhere.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use tapeline_runtime::{TrustError, trust, trusted};

use super::hub_url::HubUrl;

/// Names the file where `--ca` does not.
const VARIABLE: &str = "TAPELINE_CA";

static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Believes the certificates in this file, or in the one that the variable names.
pub(crate) fn believe(file: Option<PathBuf>) {
    let named = || std::env::var_os(VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
    // Only the first word counts, and there is one.
    let _ = FILE.set(file.or_else(named));
}

fn file() -> Option<&'static Path> {
    FILE.get()?.as_deref()
}

/// How to connect.
pub(crate) fn config() -> Result<Arc<ClientConfig>, TrustError> {
    trust(file())
}

/// Whom to believe.
pub(crate) fn roots() -> Result<Vec<CertificateDer<'static>>, TrustError> {
    trusted(file())
}

/// What TLS has against a hub, if that is why there is no connection.
pub(crate) fn distrust(hub: &HubUrl, error: &std::io::Error) -> Option<String> {
    let told = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(against(hub, told))
}

/// As a sentence.
pub(crate) fn against(hub: &HubUrl, error: &(impl Error + ?Sized)) -> String {
    match roots() {
        Ok(_) => format!("no TLS with {hub}: {error}; --ca FILE names a certificate to believe"),
        Err(nobody) => nobody.to_string(),
    }
}
