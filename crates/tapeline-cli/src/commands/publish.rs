//! `tapeline pub`: publishes one value, or one a line from standard input.

use std::io::BufRead;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::access::Access;
use super::hub_url::HubUrl;
use super::output::{Output, shown};
use super::request::Asker;

/// Publish JSON to a channel.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline pub market_data:AAPL '{\"symbol\":\"AAPL\",\"price\":187.2,\"change\":0.4,\"volume\":1200}'
  tapeline pub news - < headlines.jsonl")]
pub(crate) struct Pub {
    /// The channel's name.
    channel: String,
    /// One JSON value; `-` reads one a line from standard input.
    #[arg(allow_negative_numbers = true)]
    data: String,
    /// The message's type, where it is not the family's own.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Carried end to end.
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// A repeat within five minutes is not published again; with `-`, KEY-1 is line 1's, and so on.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Whose channel it is: the subject that may read it, where the family is read by its channels' owners.
    #[arg(long, value_name = "SUBJECT")]
    owner: Option<String>,
    /// Where the hub is.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
    /// Print the hub's answer as it came.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Envelope<'a> {
    channel: &'a str,
    data: &'a RawValue,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    channel: String,
    offset: u64,
    epoch: String,
    id: String,
    subscribers: u64,
    #[serde(default)]
    duplicate: bool,
}

impl Pub {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let hub = Asker::new(self.url.clone().with(&self.access));
        let mut out = Output::new();
        if self.data != "-" {
            let data = serde_json::from_str(&self.data).map_err(|error| {
                anyhow::anyhow!("DATA is not JSON: {error}; text needs quotes of its own: '\"text\"'")
            })?;
            return self.publish(&hub, data, self.idempotency_key.as_deref(), &mut out);
        }
        for (line, number) in std::io::stdin().lock().lines().zip(1_u64..) {
            let line = line.with_context(|| format!("line {number} of standard input cannot be read"))?;
            if line.trim().is_empty() {
                continue;
            }
            let Ok(data) = serde_json::from_str::<&RawValue>(&line) else {
                bail!("line {number} is not JSON; the lines before it were published: {}", excerpt(&line));
            };
            let key = self.idempotency_key.as_ref().map(|key| format!("{key}-{number}"));
            let published = self.publish(&hub, data, key.as_deref(), &mut out);
            published.map_err(|error| anyhow::anyhow!("line {number}: {error:#}"))?;
        }
        Ok(())
    }

    fn publish(
        &self,
        hub: &Asker,
        data: &RawValue,
        key: Option<&str>,
        out: &mut Output,
    ) -> anyhow::Result<()> {
        let envelope = Envelope {
            channel: &self.channel,
            data,
            kind: self.kind.as_deref(),
            correlation_id: self.correlation_id.as_deref(),
            idempotency_key: key,
            owner: self.owner.as_deref(),
        };
        let answer = hub.post_json("/publish", &serde_json::to_string(&envelope)?)?;
        if self.json {
            out.line(&answer)?;
        } else {
            let answer: Answer = serde_json::from_str(&answer).context("the answer is not a hub's")?;
            out.line(&shown(&sentence(&answer)))?;
        }
        // Whoever reads along sees each one at once.
        out.flush()
    }
}

fn sentence(answer: &Answer) -> String {
    let Answer { channel, offset, epoch, id, subscribers, duplicate } = answer;
    let what = if *duplicate { "duplicate of" } else { "published" };
    let ears = if *subscribers == 1 { "subscriber" } else { "subscribers" };
    format!("{what} {channel} offset {offset} epoch {epoch} id {id}, {subscribers} {ears}")
}

fn excerpt(line: &str) -> String {
    let short: String = line.chars().take(60).collect();
    shown(&short).into_owned() + if short.len() < line.len() { " …" } else { "" }
}
