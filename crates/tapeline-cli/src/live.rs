//! Venues' sessions as the settings describe them, each to be driven on a thread of its own; and `tapeline serve --feed`,
//! which puts them on the hub. How a venue is spoken to is the feed's affair.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tapeline_core::{Clock, Hub};
use tapeline_feeds::futu::{self, Futu, FutuSettings};
use tapeline_feeds::kraken::token::{FetchedTokens, GivenToken};
use tapeline_feeds::kraken::{Access, KrakenSettings, Session as Kraken};
use tapeline_feeds::live::{Line, Live, Sink, TokenSource};
use tapeline_feeds::map::Map;
use tapeline_feeds::publisher::Publisher;
use tapeline_feeds::venue::Session;
use tapeline_runtime::random_fraction;

use crate::config::FeedValues;
use crate::config::feed::{Secret, Tokens, Venue};

/// A session that is not driven yet.
pub(crate) struct Planned {
    /// `kraken`, and `kraken.account` for what is private.
    pub name: &'static str,
    venue: Venue,
    session: Box<dyn Session>,
    line: Line,
}

impl Planned {
    /// Drives it.
    pub(crate) fn start(self, sink: Box<dyn Sink>) -> anyhow::Result<Live> {
        let told = || format!("the thread of feed {} could not be started", self.name);
        let start = if self.venue == Venue::Futu { Live::start_lines } else { Live::start };
        start(self.name, self.session, sink, self.line).with_context(told)
    }
}

/// The sessions of a venue: one, or two where an account is asked for besides.
pub(crate) fn plan(
    values: &FeedValues,
    venue: Venue,
    url: &str,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Vec<Planned>> {
    if venue == Venue::Futu {
        return Ok(vec![futu(url, clock)]);
    }
    let ca = (!values.ca.is_empty()).then(|| PathBuf::from(&values.ca));
    let line = Line { clock: clock.clone(), ca, ..Line::default() };
    let mut planned = Vec::new();
    let public = kraken(values, Access::Public, url);
    if !public.channels.is_empty() {
        let session = Box::new(Kraken::new(public, seed())?);
        planned.push(Planned { name: "kraken", venue, session, line: line.clone() });
    }
    let private = kraken(values, Access::Private, &values.private_url);
    if !private.channels.is_empty() {
        let tokens = values.tokens().ok_or_else(|| anyhow!("an account needs a token or an API key"))?;
        let tokens = Some(source(tokens, &values.rest_url, line.ca.as_deref(), clock)?);
        let session = Box::new(Kraken::new(private, seed())?);
        planned.push(Planned { name: "kraken.account", venue, session, line: Line { tokens, ..line } });
    }
    Ok(planned)
}

/// Where waits between connections begin: hubs that lost a venue at once should not come back at once.
fn seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Its symbols are those that the process beside the gateway has subscribed to.
fn futu(url: &str, clock: &Arc<dyn Clock>) -> Planned {
    let settings = FutuSettings { url: url.to_string(), ..FutuSettings::default() };
    let session = Box::new(Futu::new(settings, random_fraction));
    let line = Line { clock: clock.clone(), frame_bytes: futu::LINE_BYTES, ..Line::default() };
    Planned { name: "futu", venue: Venue::Futu, session, line }
}

fn kraken(values: &FeedValues, access: Access, url: &str) -> KrakenSettings {
    let mut settings = KrakenSettings {
        url: url.to_string(),
        access,
        symbols: values.symbols.iter().map(|symbol| symbol.as_str().into()).collect(),
        channels: values.channels(),
        depth: values.depth,
        ohlc_intervals_minutes: values.ohlc_intervals.clone(),
        ..KrakenSettings::default()
    };
    settings.channels.retain(|channel| channel.is_private() == (access == Access::Private));
    settings.patience.silence = values.silences();
    settings
}

fn source(
    tokens: Tokens,
    rest_url: &str,
    ca: Option<&Path>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn TokenSource>> {
    Ok(match tokens {
        Tokens::Given(token) => Arc::new(GivenToken::new(token)),
        Tokens::File(path) => Arc::new(TokenFile(path)),
        Tokens::Signed { key, secret } => {
            let secret = match secret {
                Secret::Given(secret) => secret,
                Secret::File(path) => std::fs::read_to_string(&path).with_context(|| {
                    format!("the secret in {} cannot be read (feed.api_secret_file)", path.display())
                })?,
            };
            Arc::new(FetchedTokens::new(rest_url, &key, &secret, ca, clock.clone())?)
        }
    })
}

/// A token that somebody else puts into a file, anew for each connection.
struct TokenFile(PathBuf);

impl TokenSource for TokenFile {
    fn fetch(&self) -> Result<String, String> {
        let told = |error| format!("the token in {} cannot be read: {error}", self.0.display());
        let text = std::fs::read_to_string(&self.0).map_err(told)?;
        let token = text.trim();
        if token.is_empty() {
            Err(format!("{} holds no token", self.0.display()))
        } else {
            Ok(token.to_string())
        }
    }
}

/// Starts all feeds that the settings name.
pub(crate) fn start(
    values: &FeedValues,
    hub: &Arc<Hub>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Vec<Live>> {
    let mut running = Vec::new();
    for (venue, url) in values.venues() {
        for planned in plan(values, venue, url, clock)? {
            let map = Map::new(planned.venue.name(), &values.map_config())?;
            let publisher = Publisher::new(planned.name, hub.clone(), map);
            running.push(planned.start(Box::new(publisher))?);
        }
    }
    Ok(running)
}
