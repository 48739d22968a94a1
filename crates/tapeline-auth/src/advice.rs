//! What of a configuration can be, and what of it is weaker than it has to be: for `tapeline config check` and the log.

use std::net::SocketAddr;

use crate::algorithm::{Algorithm, Kind};
use crate::api_key::ApiKeys;
use crate::settings::{Mode, Settings, check_url};
use crate::{files, rights};

/// Seconds of leeway that clocks need at most.
const FAIR_LEEWAY_S: u64 = 60;

/// Reads all that the settings name, as a start would.
///
/// # Errors
/// The first setting that cannot be, in a sentence.
pub fn check(settings: &Settings, listens: &[SocketAddr]) -> Result<(), String> {
    settings.is_on(listens)?;
    if !settings.jwt.jwks_url.is_empty() {
        check_url(&settings.jwt.jwks_url).map_err(|told| format!("auth.jwt.jwks_url: {told}"))?;
    }
    files::read(&settings.jwt)?;
    ApiKeys::read(&settings.keys, &rights::Shared::default()).map(drop)
}

/// What could be stronger, a sentence each.
pub fn weaknesses(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    if settings.mode == Mode::Off {
        found.push("auth is off: everybody who reaches the hub may do everything".to_string());
    }
    if settings.anonymous {
        found.push("auth.anonymous lets everybody read what is public".to_string());
    }
    if settings.failures_per_minute == 0 {
        found.push("auth.failures_per_minute = 0 looks at any number of wrong tokens".to_string());
    }
    if settings.jwt.is_configured() {
        found.extend(of_tokens(settings));
    }
    for key in &settings.keys {
        let shown = key.name.as_deref().unwrap_or(&key.id);
        if key.admin && key.addresses.is_none() {
            found.push(format!("[[auth.key]] {shown:?} may change the hub from any address (addresses)"));
        }
        if key.publish.iter().chain(&key.store_write).any(|pattern| pattern == "*") {
            found.push(format!("[[auth.key]] {shown:?} may write everywhere (\"*\")"));
        }
    }
    found
}

fn of_tokens(settings: &Settings) -> Vec<String> {
    let jwt = &settings.jwt;
    let mut found = Vec::new();
    let has_secret = !jwt.secret.is_empty() || !jwt.secret_file.is_empty();
    let takes = |kind| jwt.algorithms.iter().any(|algorithm| algorithm.kind() == kind);
    if has_secret {
        found.push(
            "auth.jwt.secret: whoever can check tokens can make them; keys in pairs are safer".to_string(),
        );
    }
    if !has_secret && jwt.algorithms.contains(&Algorithm::Rs256) && takes(Kind::P256) {
        found.push(
            "auth.jwt.algorithms has more than one kind; name the one that the issuer uses".to_string(),
        );
    }
    if jwt.rules.audience.is_empty() {
        found.push("auth.jwt.audience is empty: tokens that were made for others are taken too".to_string());
    }
    if !jwt.jwks_url.is_empty() && jwt.rules.kind.is_empty() {
        found.push(
            "auth.jwt.typ is empty: other tokens of the issuer, such as id tokens, are taken too".to_string(),
        );
    }
    if jwt.rules.issuer.is_empty() {
        found.push("auth.jwt.issuer is empty: whoever has the key may be the issuer".to_string());
    }
    if jwt.rules.max_lifetime_s == 0 {
        found.push(
            "auth.jwt.max_lifetime_s = 0 takes tokens of any lifetime, and revocations are kept for ever"
                .to_string(),
        );
    }
    if jwt.rules.leeway_s > FAIR_LEEWAY_S {
        found.push(format!("auth.leeway_s = {}: clocks need {FAIR_LEEWAY_S} at most", jwt.rules.leeway_s));
    }
    found.extend(open_to_others(&jwt.secret_file));
    found
}

#[cfg(unix)]
fn open_to_others(path: &str) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let found = std::fs::metadata(path).ok().filter(|_| !path.is_empty())?;
    let is_open = found.permissions().mode() & 0o077 != 0;
    is_open.then(|| format!("auth.jwt.secret_file {path} can be read by others; chmod 600 {path}"))
}

#[cfg(not(unix))]
fn open_to_others(_path: &str) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::JwtSettings;

    #[test]
    fn a_careful_configuration_has_nothing_that_could_be_stronger() {
        let mut jwt =
            JwtSettings { jwks_url: "https://issuer.example/jwks".to_string(), ..JwtSettings::default() };
        jwt.algorithms = vec![Algorithm::Es256];
        jwt.rules.issuer = "https://issuer.example".to_string();
        jwt.rules.audience = vec!["tapeline".to_string()];
        jwt.rules.kind = "at+jwt".to_string();
        let careful = Settings { jwt, ..Settings::default() };
        assert_eq!(weaknesses(&careful), [""; 0]);
        assert_eq!(check(&careful, &[]), Ok(()));
        let mut careless = careful;
        careless.jwt.rules.max_lifetime_s = 0;
        careless.anonymous = true;
        assert_eq!(weaknesses(&careless).len(), 2);
    }
}
