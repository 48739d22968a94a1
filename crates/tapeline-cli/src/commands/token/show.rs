//! `tapeline token show`: what a token says, whether a hub with these keys would take it, and why not.

use std::io::Read;

use anyhow::{Context, bail};
use serde_json::Value;
use tapeline_auth::claims::Claims;
use tapeline_auth::jws::{Jws, TOKEN_LIMIT};
use tapeline_auth::{Settings, api_key};

use super::super::output::Output;
use super::keys::{Keys, checking};

/// Show what a token says, and judge it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline token show TOKEN --config tapeline.toml
  tapeline token show - --secret-file jwt.secret < token.txt
  tapeline token show TOKEN                          without keys it is only taken apart")]
pub(super) struct Show {
    /// The token; - reads it from standard input.
    #[arg(value_name = "TOKEN")]
    token: String,
    /// A PEM file of public keys.
    #[arg(long, value_name = "FILE")]
    public_key: Option<String>,
    /// A set of public keys.
    #[arg(long, value_name = "FILE")]
    jwks_file: Option<String>,
    #[command(flatten)]
    keys: Keys,
}

impl Show {
    pub(super) fn run(self, out: &mut Output) -> anyhow::Result<()> {
        let token = match &*self.token {
            "-" => {
                let mut text = String::new();
                let most = 4 * TOKEN_LIMIT as u64;
                std::io::stdin().take(most).read_to_string(&mut text).context("standard input is no text")?;
                text.trim().to_string()
            }
            given => given.to_string(),
        };
        if token.starts_with(api_key::PREFIX) {
            bail!("this is an API key; a hub's [[auth.key]] with its id says what it may");
        }
        let mut settings = self.keys.settings()?;
        if let Some(path) = self.public_key {
            settings.jwt.public_key_file = path;
        }
        if let Some(path) = self.jwks_file {
            settings.jwt.jwks_file = path;
        }
        taken_apart(&token, out)?;
        out.flush()?;
        judged(&token, &settings, out)
    }
}

fn taken_apart(token: &str, out: &mut Output) -> anyhow::Result<()> {
    let jws = Jws::parse(token)?;
    let header = &jws.header;
    out.line(&format!("algorithm  {}", header.algorithm))?;
    if let Some(id) = &header.key_id {
        out.line(&format!("key        {id}"))?;
    }
    if let Some(kind) = &header.kind {
        out.line(&format!("type       {kind}"))?;
    }
    let payload = jws.payload()?;
    let Ok(claims) = serde_json::from_slice::<Value>(&payload) else {
        return out.line("claims     none: it is not JSON");
    };
    for (name, value) in claims.as_object().into_iter().flatten() {
        let moment = value.as_i64().filter(|_| matches!(&**name, "exp" | "iat" | "nbf"));
        let moment = moment.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        let said = moment.map(|moment| format!("  {moment}")).unwrap_or_default();
        out.line(&format!("{name:<10} {value}{said}"))?;
    }
    Ok(())
}

fn judged(token: &str, settings: &Settings, out: &mut Output) -> anyhow::Result<()> {
    let jwt = &settings.jwt;
    if !jwt.is_configured() {
        return out.line("not judged: give --config, --secret-file, --public-key or --jwks-file");
    }
    let now_us = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0);
    let claims = Claims::of_token(token, &checking(jwt)?, &jwt.rules, now_us)?;
    let left_s = claims.until_us.saturating_sub(now_us) / 1_000_000;
    out.line(&format!("good: {} may use it for {left_s} s more", claims.subject))
}
