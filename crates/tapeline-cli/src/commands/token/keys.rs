//! Where `mint` and `show` find keys: flags, else what a hub would use with this file and these variables.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use tapeline_auth::fetch::{Fetch, Http};
use tapeline_auth::key::KeySet;
use tapeline_auth::mint::Signer;
use tapeline_auth::{Algorithm, JwtSettings, Settings, files, jwks, secret};

use crate::config::Layers;

/// Keys, and the rules that belong to them.
#[derive(clap::Args)]
pub(super) struct Keys {
    /// Take keys and rules from a hub's file; variables such as TAPELINE_AUTH__JWT__SECRET count too.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with the secret.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<String>,
}

impl Keys {
    /// What a hub would use, with the flags over it.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = Layers::new(self.config.clone(), Vec::new()).load()?.config.auth;
        if let Some(path) = &self.secret_file {
            (settings.jwt.secret, settings.jwt.secret_file) = (String::new(), path.clone());
        }
        Ok(settings)
    }
}

/// Every key that tokens are checked with, those that are fetched included.
pub(super) fn checking(jwt: &JwtSettings) -> anyhow::Result<KeySet> {
    let mut keys = files::read(jwt).map_err(|told| anyhow!(told))?;
    let url = &jwt.jwks_url;
    if !url.is_empty() {
        let named = |told| anyhow!("auth.jwt.jwks_url {url} {told}");
        let fetched = Http::new().fetch(url).map_err(named)?;
        keys.extend(jwks::read(&jwt.algorithms, &fetched.body).map_err(named)?.keys);
    }
    Ok(KeySet::new(keys))
}

/// What tokens are signed with: a private key where one is given, else the secret.
pub(super) fn signing(
    jwt: &JwtSettings,
    private_key: Option<&str>,
    algorithm: Option<Algorithm>,
) -> anyhow::Result<Signer> {
    if let Some(path) = private_key {
        let pem = std::fs::read(path).with_context(|| format!("{path} cannot be read"))?;
        let algorithm = algorithm.unwrap_or(Algorithm::Es256);
        return Signer::private_key(algorithm, &pem).map_err(|told| anyhow!("{path} {told}"));
    }
    let secret = match (&*jwt.secret, &*jwt.secret_file) {
        ("", "") => bail!(
            "there is nothing to sign with: give --secret-file or --private-key, or --config with auth.jwt.secret"
        ),
        ("", path) => {
            std::fs::read(path).with_context(|| format!("{path} cannot be read"))?.trim_ascii().to_vec()
        }
        (secret, _) => secret.as_bytes().to_vec(),
    };
    let algorithm = algorithm.unwrap_or(Algorithm::Hs256);
    let named = |told| anyhow!("the secret {told}");
    secret::check(&secret).map_err(named)?;
    let least = algorithm.secret_bytes();
    if secret.len() < least {
        bail!("the secret is {} bytes, {algorithm} takes {least}", secret.len());
    }
    Signer::secret(algorithm, &secret).map_err(named)
}
