//! `tapeline doctor`: looks at a hub, and at one channel or pattern of it, as a client would, and says what is wrong and
//! what to do about it. It uses nothing but the hub's public doors; the facts are the hub's, the judgement is here.

mod channel;
mod finding;
mod hub;
mod incidents;
mod live;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::bail;

use super::hub_url::HubUrl;
use super::output::Output;
use finding::Findings;

/// Find out why something does not arrive.
#[derive(clap::Args)]
#[command(
    after_help = "Ends with 1 if there is a problem.\n\nExamples:\n  tapeline doctor\n  tapeline doctor market_data:AAPL\n  tapeline doctor 'training.*' --url http://127.0.0.1:8000\n  tapeline doctor ws://127.0.0.1:8000/ws --origin https://desk.example"
)]
pub(crate) struct Doctor {
    /// A channel, a pattern, or the hub's address; without it, the hub alone is looked at.
    #[arg(value_name = "CHANNEL|URL")]
    target: Option<String>,
    /// Where the hub is. [default: http://127.0.0.1:8000]
    #[arg(long)]
    url: Option<HubUrl>,
    /// Connect as a web page of this origin would.
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Seconds to wait for a message of the channel.
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    wait: u64,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// What is looked at beside the hub.
enum Target {
    Hub,
    Channel(String),
    Pattern(String),
}

impl Doctor {
    /// The address may stand where the channel does.
    fn target(&self) -> anyhow::Result<(HubUrl, Target)> {
        let usual = || "http://127.0.0.1:8000".parse().map_err(anyhow::Error::msg);
        let given = match &self.url {
            Some(url) => Ok(url.clone()),
            None => usual(),
        };
        match self.target.as_deref() {
            None => Ok((given?, Target::Hub)),
            Some(text) if text.contains("://") => {
                if self.url.is_some() {
                    bail!("the hub's address is given twice: as {text} and with --url");
                }
                Ok((text.parse().map_err(anyhow::Error::msg)?, Target::Hub))
            }
            Some(text) if text.contains(['*', '?', '[']) => Ok((given?, Target::Pattern(text.to_string()))),
            Some(text) => Ok((given?, Target::Channel(text.to_string()))),
        }
    }

    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (url, target) = self.target()?;
        let mut findings = Findings::default();
        let wait = Duration::from_secs(self.wait);
        if hub::examine(&url, &mut findings) {
            match &target {
                Target::Hub => hub::examine_inside(&url, &mut findings)?,
                Target::Channel(name) => channel::examine(&url, name, false, &mut findings)?,
                Target::Pattern(text) => channel::examine(&url, text, true, &mut findings)?,
            }
            let topic = match &target {
                Target::Hub => None,
                Target::Channel(name) => Some((false, name.as_str())),
                Target::Pattern(text) => Some((true, text.as_str())),
            };
            live::examine(&url, self.origin.as_deref(), topic, wait, &mut findings)?;
        }
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
        Doctor { target: target.map(str::to_string), url, origin: None, wait: 0, json: false }
    }

    #[test]
    fn what_is_asked_for_may_be_a_channel_a_pattern_or_an_address() {
        let (url, target) = doctor(None, None).target().unwrap();
        assert!(url.to_string() == "http://127.0.0.1:8000" && matches!(target, Target::Hub));
        let (url, target) = doctor(Some("ws://h:1/ws"), None).target().unwrap();
        assert!(url.to_string() == "http://h:1" && matches!(target, Target::Hub));
        let (url, target) = doctor(Some("fx/eur:usd"), Some("http://h:1")).target().unwrap();
        assert!(url.to_string() == "http://h:1" && matches!(target, Target::Channel(_)));
        assert!(matches!(doctor(Some("fx.*"), None).target().unwrap().1, Target::Pattern(_)));
        assert!(doctor(Some("http://h:1"), Some("http://h:2")).target().is_err());
        assert!(doctor(Some("https://h"), None).target().is_err());
    }
}
