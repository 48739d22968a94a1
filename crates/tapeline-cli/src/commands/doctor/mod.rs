//! `tapeline doctor`: looks at a hub, and at one channel or pattern of it, as a client would, and says what is wrong and
//! what to do about it. It uses nothing but the hub's public doors; the facts are the hub's, the judgement is here.

mod asking;
mod broker;
mod channel;
mod example;
mod finding;
mod hub;
mod incidents;
mod live;
mod token;

use std::io::IsTerminal;
use std::time::Duration;

use super::access::Access;
use super::hub_url::HubUrl;
use super::output::Output;
use finding::Findings;
use live::Topic;

/// Find out why something does not arrive.
#[derive(clap::Args)]
#[command(
    after_help = "Ends with 1 if there is a problem.\n\nExamples:\n  tapeline doctor\n  tapeline doctor market_data:AAPL\n  tapeline doctor 'training.*' --url http://127.0.0.1:8000\n  tapeline doctor 127.0.0.1:8000 --origin https://desk.example"
)]
pub(crate) struct Doctor {
    /// A channel, a pattern, or the hub's address; without it, the hub alone is looked at.
    #[arg(value_name = "CHANNEL|URL")]
    target: Option<String>,
    /// Where the hub is. [default: http://127.0.0.1:8000]
    #[arg(long)]
    url: Option<HubUrl>,
    #[command(flatten)]
    access: Access,
    /// Connect as a web page of this origin would.
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Seconds to wait for a new message of the channel.
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    wait: u64,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// A channel or pattern that is looked at beside the hub.
struct Target {
    is_pattern: bool,
    name: String,
}

impl Doctor {
    /// The address may stand where the channel does.
    fn target(&self) -> anyhow::Result<(HubUrl, Option<Target>)> {
        let url = self.url.clone();
        match self.target.as_deref() {
            Some(text) if HubUrl::is_meant_by(text) => {
                let word = text.parse().map_err(anyhow::Error::msg)?;
                Ok((HubUrl::given(Some(word), url)?, None))
            }
            name => {
                let target =
                    |name: &str| Target { is_pattern: name.contains(['*', '?', '[']), name: name.into() };
                Ok((HubUrl::given(None, url)?, name.map(target)))
            }
        }
    }

    fn examine(&self) -> anyhow::Result<Findings> {
        let (url, target) = self.target()?;
        let url = url.with(&self.access);
        let mut findings = Findings::default();
        let Some(hub) = hub::examine(&url, &mut findings) else { return Ok(findings) };
        let mut topic = None;
        match &target {
            None => hub::examine_inside(&hub, &mut findings),
            Some(Target { is_pattern, name }) => {
                let wait = Duration::from_secs(self.wait);
                // A refusal would be an incident that the next doctor reports.
                if channel::examine(&hub, name, *is_pattern, &mut findings) {
                    topic = Some(Topic { is_pattern: *is_pattern, name, wait });
                }
            }
        }
        live::examine(&url, self.origin.as_deref(), topic.as_ref(), hub.is_open, &mut findings)?;
        Ok(findings)
    }

    pub(crate) fn run(self) -> anyhow::Result<()> {
        let findings = self.examine()?;
        let mut out = Output::new();
        if self.json {
            out.line(&serde_json::to_string(&findings)?)?;
        } else {
            out.text(&findings.text(std::io::stdout().is_terminal()))?;
        }
        out.flush()?;
        if findings.has_problem() {
            std::process::exit(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doctor(target: Option<&str>, url: Option<&str>) -> Doctor {
        let url = url.map(|url| url.parse().unwrap());
        Doctor {
            target: target.map(str::to_string),
            url,
            access: Access::default(),
            origin: None,
            wait: 0,
            json: false,
        }
    }

    #[test]
    fn what_is_asked_for_may_be_a_channel_a_pattern_or_an_address() {
        let told = |target, url| {
            let (url, target) = doctor(target, url).target().unwrap();
            (url.to_string(), target.map(|target| (target.is_pattern, target.name)))
        };
        assert_eq!(told(None, None), ("http://127.0.0.1:8000".into(), None));
        assert_eq!(told(Some("ws://h:1/ws"), None), ("http://h:1".into(), None));
        assert_eq!(told(Some("localhost:8001"), None), ("http://localhost:8001".into(), None));
        assert_eq!(told(Some("[::1]:8001"), None), ("http://[::1]:8001".into(), None));
        let at_h = |is_pattern, name: &str| ("http://h:1".into(), Some((is_pattern, name.to_string())));
        assert_eq!(told(Some("fx/eur:usd"), Some("http://h:1")), at_h(false, "fx/eur:usd"));
        assert_eq!(told(Some("fx.*"), Some("http://h:1")), at_h(true, "fx.*"));
        assert!(doctor(Some("http://h:1"), Some("http://h:2")).target().is_err());
        assert!(doctor(Some("ftp://h"), None).target().is_err());
    }
}
