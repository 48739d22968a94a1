//! Keys out of the configuration and its files, and when a file has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::jwks;
use crate::key::Key;
use crate::pem;
use crate::secret;
use crate::settings::JwtSettings;

/// The largest file of keys, in bytes.
const FILE_BYTES: u64 = jwks::SET_BYTES as u64;

/// Reads all keys that are not fetched.
///
/// # Errors
/// The first thing that cannot be used, and its setting.
pub fn read(settings: &JwtSettings) -> Result<Vec<Key>, String> {
    let allowed = &*settings.algorithms;
    let mut keys = Vec::new();
    if !settings.secret.is_empty() {
        let named = |told| format!("auth.jwt.secret {told}");
        secret::check(settings.secret.as_bytes()).map_err(named)?;
        keys.push(Key::secret(allowed, settings.secret.as_bytes()).map_err(named)?);
    }
    if !settings.secret_file.is_empty() {
        let path = &settings.secret_file;
        let text = open("auth.jwt.secret_file", path)?;
        let named = |told| format!("auth.jwt.secret_file {path} {told}");
        // Editors end the last line.
        let secret = text.trim_ascii();
        secret::check(secret).map_err(named)?;
        keys.push(Key::secret(allowed, secret).map_err(named)?);
    }
    if !settings.public_key_file.is_empty() {
        let path = &settings.public_key_file;
        let text = open("auth.jwt.public_key_file", path)?;
        let named = |told| format!("auth.jwt.public_key_file {path} {told}");
        keys.extend(pem::public_keys(allowed, &text).map_err(named)?);
    }
    if !settings.jwks_file.is_empty() {
        let path = &settings.jwks_file;
        let text = open("auth.jwt.jwks_file", path)?;
        let named = |told| format!("auth.jwt.jwks_file {path} {told}");
        let taken = jwks::read(allowed, &text).map_err(named)?;
        if taken.keys.is_empty() {
            return Err(named(format!("has no key that can be used: {}", taken.passed_over.join("; "))));
        }
        taken.passed_over.iter().for_each(|told| tracing::info!("{path}: {told}"));
        keys.extend(taken.keys);
    }
    Ok(keys)
}

fn open(setting: &str, path: &str) -> Result<Vec<u8>, String> {
    let named = |told: String| format!("{setting} {path} {told}");
    let bytes = fs::metadata(path).map_err(|error| named(format!("cannot be read: {error}")))?.len();
    if bytes > FILE_BYTES {
        return Err(named(format!("is {bytes} bytes, the limit is {FILE_BYTES}")));
    }
    fs::read(path).map_err(|error| named(format!("cannot be read: {error}")))
}

/// What tells that a file is another than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen(Vec<(PathBuf, Option<(SystemTime, u64)>)>);

/// Looks at all files of keys.
pub(crate) fn look(settings: &JwtSettings) -> Seen {
    let look = |path: &Path| {
        let found = fs::metadata(path).and_then(|found| Ok((found.modified()?, found.len())));
        (path.to_path_buf(), found.ok())
    };
    Seen(settings.files().map(look).collect())
}
