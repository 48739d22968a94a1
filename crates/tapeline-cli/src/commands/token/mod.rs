//! `tapeline token`: tokens for development, API keys, secrets and pairs of keys are made here, and a token is shown and
//! judged without a hub; only `revoke` and `revocations` talk to one.

mod grant;
mod key;
mod keys;
mod mint;
mod revoke;
mod show;

use anyhow::{Context, anyhow};
use tapeline_auth::{Algorithm, mint as making};

use super::output::Output;

/// Make tokens and keys, and see what is wrong with a token.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline token key --name feeder --publish 'market_data:*'    an API key, and the lines for the hub's file
  (umask 077; tapeline token secret > jwt.secret)                         a secret to sign tokens with
  tapeline token mint --sub u1 --read 'metrics' --secret-file jwt.secret
  tapeline token show TOKEN --config tapeline.toml               what is wrong with it
  tapeline token revoke --subject ann --token-file admin.key     all tokens that ann has")]
pub(crate) struct Token {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Sign a token, for development.
    Mint(mint::Mint),
    /// Make an API key; it is printed once.
    Key(key::MakeKey),
    /// Show what a token says, and judge it.
    Show(show::Show),
    /// Take back all tokens of a subject, or one by its id.
    Revoke(revoke::TakeBack),
    /// List what has been taken back, the newest first.
    Revocations(revoke::TakenBack),
    /// Print a good secret.
    #[command(after_help = "Example:\n  (umask 077; tapeline token secret > jwt.secret)")]
    Secret,
    /// Make a private and a public key, as PEM files.
    Keypair(Keypair),
}

/// Make a private and a public key, as PEM files.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tapeline token keypair --private-key jwt.key --public-key jwt.pub")]
struct Keypair {
    /// ES256 or EdDSA.
    #[arg(long, default_value = "ES256", value_parser = algorithm)]
    alg: Algorithm,
    /// The file of the private key, for who signs; it must not exist yet.
    #[arg(long, value_name = "FILE", default_value = "jwt.key")]
    private_key: String,
    /// The file of the public key, for the hub; it must not exist yet.
    #[arg(long, value_name = "FILE", default_value = "jwt.pub")]
    public_key: String,
}

impl Token {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut out = Output::new();
        match self.action {
            Action::Mint(mint) => mint.run(&mut out)?,
            Action::Key(key) => key.run(&mut out)?,
            Action::Show(show) => show.run(&mut out)?,
            Action::Revoke(revoke) => revoke.run(&mut out)?,
            Action::Revocations(list) => list.run(&mut out)?,
            Action::Secret => out.line(&making::secret().context("the system has no randomness")?)?,
            Action::Keypair(pair) => pair.run(&mut out)?,
        }
        out.flush()
    }
}

impl Keypair {
    fn run(&self, out: &mut Output) -> anyhow::Result<()> {
        let pair = making::pair(self.alg).map_err(|told| anyhow!(told))?;
        create(&self.private_key, &pair.private)?;
        create(&self.public_key, &pair.public)?;
        out.line(&format!("{} is for who signs, {} for the hub:", self.private_key, self.public_key))?;
        out.line("[auth.jwt]")?;
        out.line(&format!("algorithms = [\"{}\"]", self.alg))?;
        out.line(&format!("public_key_file = {:?}", self.public_key))
    }
}

/// A new file that nobody else may read.
fn create(path: &str, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("{path} cannot be made"))?;
    file.write_all(text.as_bytes()).with_context(|| format!("{path} cannot be written"))
}

/// An algorithm on the command line.
fn algorithm(text: &str) -> Result<Algorithm, String> {
    let names: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
    text.parse().map_err(|_| format!("expected one of {}", names.join(", ")))
}
