//! `tapeline token revoke` and `tapeline token revocations`: what a running hub takes back, and what it has taken back.

use anyhow::Context;
use tapeline_gateway::admin::{Revocation, Revocations, Revoke};

use super::super::access::Access;
use super::super::hub_url::HubUrl;
use super::super::output::Output;
use super::super::request::Asker;

/// Where a hub keeps them.
const PATH: &str = "/admin/revocations";

/// Take back all tokens of a subject, or one by its id.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline token revoke --subject ann --token-file admin.key
  tapeline token revoke --subject key:1f0c2b7a9d3e --token-file admin.key     an API key, for good
  tapeline token revoke --token-id a8c1 --token-file admin.key --url https://hub.example")]
pub(super) struct TakeBack {
    /// Whose tokens: all that were issued until now. An API key is key:ID.
    #[arg(long, required_unless_present = "token_id", conflicts_with = "token_id")]
    subject: Option<String>,
    /// Which token, by its claim jti.
    #[arg(long, value_name = "ID")]
    token_id: Option<String>,
    #[command(flatten)]
    hub: AdminHub,
}

/// List what has been taken back, the newest first.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tapeline token revocations --token-file admin.key")]
pub(super) struct TakenBack {
    #[command(flatten)]
    hub: AdminHub,
}

#[derive(clap::Args)]
struct AdminHub {
    /// Where the hub is, or its admin interface where that listens apart.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
    /// Print the hub's answer as it came.
    #[arg(long)]
    json: bool,
}

impl TakeBack {
    pub(super) fn run(self, out: &mut Output) -> anyhow::Result<()> {
        let by_id = self.token_id.map(Revoke::TokenId);
        let what = by_id.or(self.subject.map(Revoke::Subject)).context("give --subject or --token-id")?;
        let AdminHub { url, access, json } = self.hub;
        let body = Asker::new(url.with(&access)).post_json(PATH, &serde_json::to_string(&what)?)?;
        if json {
            return out.line(&body);
        }
        let kept: Revocation = serde_json::from_str(&body).context("the answer is not a hub's")?;
        out.line(&words(&kept))
    }
}

impl TakenBack {
    pub(super) fn run(self, out: &mut Output) -> anyhow::Result<()> {
        let AdminHub { url, access, json } = self.hub;
        let body = Asker::new(url.with(&access)).read(PATH)?;
        if json {
            return out.line(&body);
        }
        let kept: Revocations = serde_json::from_str(&body).context("the answer is not a hub's")?;
        if kept.revocations.is_empty() {
            return out.line("nothing has been taken back");
        }
        kept.revocations.iter().try_for_each(|one| out.line(&words(one)))
    }
}

fn words(Revocation { what, at, until }: &Revocation) -> String {
    let what = match what {
        Revoke::Subject(subject) => format!("tokens of {subject}"),
        Revoke::TokenId(id) => format!("token {id}"),
    };
    let end = until.as_ref().map_or("for good".to_string(), |until| format!("remembered until {until}"));
    format!("{what}: taken back at {at}, {end}")
}
