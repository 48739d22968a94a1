//! `tapeline token key`: an API key, and what the hub's file keeps of it.

use anyhow::{Context, anyhow};
use tapeline_auth::api_key::NewKey;

use super::super::output::{Output, note};
use super::grant::Grant;
use crate::config::key_toml;

/// Make an API key; it is printed once.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline token key --name feeder --publish 'market_data:*' --publish 'orderbook:*'
  tapeline token key --name ops --admin --operator --address 10.0.0.0/8
  tapeline token key --name report --read 'trades:*' --expires 2027-01-31T00:00:00Z")]
pub(super) struct MakeKey {
    /// For people; several keys may have one, while one takes another's place.
    #[arg(long)]
    name: String,
    #[command(flatten)]
    grant: Grant,
    /// When it ends, as RFC 3339.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Where it may come from: an address, or a range such as 10.0.0.0/8.
    #[arg(long, value_name = "RANGE")]
    address: Vec<String>,
}

impl MakeKey {
    pub(super) fn run(self, out: &mut Output) -> anyhow::Result<()> {
        let key = NewKey::make().context("the system has no randomness")?;
        let mut known = self.grant.of_key()?;
        (known.id, known.hash, known.name) = (key.id, key.hash, Some(self.name));
        known.expires = self.expires;
        known.addresses = (!self.address.is_empty()).then_some(self.address);
        known.check().map_err(|told| anyhow!(told))?;
        note("the key, which is shown now and never again:");
        out.line(&key.text)?;
        out.flush()?;
        note("");
        note(
            "for the hub's file; a reload takes it in, but a hub that asks nobody yet must be started again:",
        );
        out.line("")?;
        out.lines(&key_toml(&known))
    }
}
