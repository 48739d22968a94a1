//! `tapeline token mint`: a signed token. A hub never signs; in production an issuer does.

use anyhow::anyhow;
use serde_json::{Map, Value, json};
use tapeline_auth::Algorithm;

use super::super::channel::Age;
use super::super::output::Output;
use super::grant::Grant;
use super::keys::{Keys, signing};

/// Sign a token, for development.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline token mint --sub u1 --config tapeline.toml
  tapeline token mint --sub u1 --key portfolio_id=p1,p2 --publish 'orders:u1' --ttl 10m --secret-file jwt.secret
  tapeline token mint --sub ops --operator --private-key jwt.key --alg ES256")]
pub(super) struct Mint {
    /// Whose it is.
    #[arg(long, value_name = "SUBJECT")]
    sub: String,
    #[command(flatten)]
    grant: Grant,
    /// How long it lives: 90s, 10m, 24h.
    #[arg(long, value_name = "TIME", default_value = "10m")]
    ttl: Age,
    /// By whom it is (iss); by default whom the configuration asks for.
    #[arg(long)]
    iss: Option<String>,
    /// For whom it is (aud); by default whom the configuration asks for.
    #[arg(long)]
    aud: Vec<String>,
    /// Its own id, by which it alone can be revoked.
    #[arg(long)]
    jti: Option<String>,
    /// The name of its key.
    #[arg(long)]
    kid: Option<String>,
    /// Sign with this private key, a PEM file.
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    private_key: Option<String>,
    /// How it is signed: HS256 with a secret, ES256 with a private key, or what is said here.
    #[arg(long, value_parser = super::algorithm)]
    alg: Option<Algorithm>,
    #[command(flatten)]
    keys: Keys,
}

impl Mint {
    pub(super) fn run(self, out: &mut Output) -> anyhow::Result<()> {
        let jwt = self.keys.settings()?.jwt;
        let signer = signing(&jwt, self.private_key.as_deref(), self.alg)?;
        let now_s = jiff::Timestamp::now().as_second();
        let mut claims = Map::new();
        let Age(ttl_s) = self.ttl;
        claims.insert("sub".to_string(), self.sub.into());
        claims.insert("iat".to_string(), now_s.into());
        claims.insert("exp".to_string(), now_s.saturating_add_unsigned(ttl_s).into());
        let issuer = self.iss.unwrap_or(jwt.rules.issuer);
        let audience = if self.aud.is_empty() { jwt.rules.audience } else { self.aud };
        if !issuer.is_empty() {
            claims.insert("iss".to_string(), issuer.into());
        }
        if !audience.is_empty() {
            claims.insert("aud".to_string(), json!(audience));
        }
        if let Some(id) = self.jti {
            claims.insert("jti".to_string(), id.into());
        }
        if let Some(claim) = self.grant.claim()? {
            claims.insert("tapeline".to_string(), claim);
        }
        let kind = if jwt.rules.kind.is_empty() { "JWT" } else { &jwt.rules.kind };
        let token = signer.token(&Value::Object(claims), self.kid.as_deref(), kind);
        out.line(&token.map_err(|told| anyhow!(told))?)
    }
}
