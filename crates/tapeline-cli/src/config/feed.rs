//! `[feed]`: which venues' data is brought in, and what of it. What a feed cannot be started with is found here, before
//! anything is. It does not know how a venue is spoken to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tapeline_core::feed::VenueChannel;
use tapeline_feeds::kraken::settings::{DEPTHS, INTERVALS_MINUTES, PRIVATE_URL, PUBLIC_URL};
use tapeline_feeds::kraken::token::REST_URL;
use tapeline_feeds::map::{BOOK_LEVELS, BOOK_LEVELS_LIMIT, Map, MapConfig};

/// A venue that there is a feed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Venue {
    Kraken,
    Futu,
}

impl Venue {
    const ALL: [Self; 2] = [Self::Kraken, Self::Futu];

    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kraken => "kraken",
            Self::Futu => "futu",
        }
    }

    /// The venue of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|venue| venue.name() == name)
    }

    /// What is wrong with where it is to be.
    fn check_url(self, url: &str) -> Result<(), String> {
        match self {
            Self::Kraken if has_host(url, &["ws://", "wss://"]) => Ok(()),
            Self::Kraken => Err(format!("kraken is at ws://HOST or wss://HOST, not at {url:?}")),
            Self::Futu if url == "-" || has_host(url, &["tcp://"]) => Ok(()),
            Self::Futu => Err(format!("futu is at tcp://HOST:PORT, or - for standard input, not at {url:?}")),
        }
    }
}

fn has_host(url: &str, schemes: &[&str]) -> bool {
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    rest.is_some_and(|rest| {
        !rest.starts_with(['/', ':']) && !rest.is_empty() && !rest.contains(char::is_whitespace)
    })
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct FeedValues {
    pub names: Vec<String>,
    pub urls: Vec<String>,
    pub symbols: Vec<String>,
    pub depth: usize,
    pub channels: Vec<String>,
    pub levels: usize,
    pub ohlc_intervals: Vec<u32>,
    pub account: String,
    pub owner: String,
    pub private_url: String,
    pub rest_url: String,
    pub token: String,
    pub token_file: String,
    pub api_key: String,
    pub api_secret: String,
    pub api_secret_file: String,
    pub ca: String,
    pub silence: Duration,
    /// By a row's name, the hub's channel.
    pub map: BTreeMap<String, String>,
    /// By the venue's name of an instrument, the hub's.
    pub rename: BTreeMap<String, String>,
}

impl Default for FeedValues {
    fn default() -> Self {
        let text = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
        FeedValues {
            names: Vec::new(),
            urls: Vec::new(),
            symbols: Vec::new(),
            depth: 10,
            channels: text(&["ticker", "book", "trade", "ohlc"]),
            levels: BOOK_LEVELS,
            ohlc_intervals: vec![1],
            account: String::new(),
            owner: String::new(),
            private_url: PRIVATE_URL.to_string(),
            rest_url: REST_URL.to_string(),
            token: String::new(),
            token_file: String::new(),
            api_key: String::new(),
            api_secret: String::new(),
            api_secret_file: String::new(),
            ca: String::new(),
            silence: Duration::from_secs(60),
            map: BTreeMap::new(),
            rename: BTreeMap::new(),
        }
    }
}

/// Where tokens for a venue's private socket come from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// This one.
    Given(String),
    /// A file, read each time.
    File(PathBuf),
    /// Asked for with this key and secret.
    Signed { key: String, secret: Secret },
}

/// A secret, or the file that holds it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    /// In base64.
    Given(String),
    /// Read each time.
    File(PathBuf),
}

impl FeedValues {
    /// The venues with where they are.
    pub(crate) fn venues(&self) -> impl Iterator<Item = (Venue, &str)> {
        let own = |venue| if venue == Venue::Kraken { PUBLIC_URL } else { "" };
        let venues = self.names.iter().filter_map(|name| Venue::named(name));
        venues
            .enumerate()
            .map(move |(at, venue)| (venue, self.urls.get(at).map_or(own(venue), String::as_str)))
    }

    /// What is asked of the venue.
    pub(crate) fn channels(&self) -> Vec<VenueChannel> {
        self.channels.iter().map(|name| VenueChannel::named(name)).collect()
    }

    /// How long channels may be without data: tickers follow trades, which are rarer than offers.
    pub(crate) fn silences(&self) -> Vec<(VenueChannel, Duration)> {
        vec![(VenueChannel::Book, self.silence), (VenueChannel::Ticker, self.silence * 2)]
    }

    /// Where on the hub things go.
    pub(crate) fn map_config(&self) -> MapConfig {
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        MapConfig {
            rows: self.map.clone(),
            symbols: self.rename.clone(),
            account: given(&self.account),
            owner: given(&self.owner),
            book_levels: self.levels,
        }
    }

    /// Where tokens come from, if anything says so.
    pub(crate) fn tokens(&self) -> Option<Tokens> {
        let secret = match (&*self.api_secret, &*self.api_secret_file) {
            ("", "") => None,
            ("", file) => Some(Secret::File(file.into())),
            (secret, _) => Some(Secret::Given(secret.to_string())),
        };
        match (&*self.token, &*self.token_file, &*self.api_key, secret) {
            ("", "", "", _) | ("", "", _, None) => None,
            ("", "", key, Some(secret)) => Some(Tokens::Signed { key: key.to_string(), secret }),
            ("", file, ..) => Some(Tokens::File(file.into())),
            (token, ..) => Some(Tokens::Given(token.to_string())),
        }
    }

    /// The setting that has a fault, and which.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |name: &'static str, told: String| Err((name, format!("{name}: {told}")));
        if self.names.is_empty() {
            if !self.urls.is_empty() {
                return wrong("feed.urls", "feed.names is missing (--feed kraken)".to_string());
            }
            if !self.symbols.is_empty() {
                return wrong("feed.symbols", "feed.names is missing (--feed kraken)".to_string());
            }
            return Ok(());
        }
        if self.urls.len() > self.names.len() {
            return wrong("feed.urls", "there are more of them than feeds".to_string());
        }
        for (venue, url) in self.venues() {
            if url.is_empty() {
                let told = "futu has no address of its own; give tcp://HOST:PORT, or - (--feed-url)";
                return wrong("feed.names", told.to_string());
            }
            venue.check_url(url).or_else(|told| wrong("feed.urls", told))?;
        }
        self.check_map()?;
        if self.names.iter().any(|name| name == Venue::Kraken.name()) { self.check_kraken() } else { Ok(()) }
    }

    fn check_map(&self) -> Result<(), (&'static str, String)> {
        let map = Map::new(Venue::Kraken.name(), &self.map_config());
        let map = map.map_err(|error| ("feed.map", format!("feed.map: {error}")))?;
        let told =
            |error| ("feed.symbols", format!("feed.symbols: {error}; give it another name in feed.rename"));
        let symbols: Vec<&str> = self.symbols.iter().map(String::as_str).collect();
        map.check_symbols(&symbols).map_err(told)
    }

    fn check_kraken(&self) -> Result<(), (&'static str, String)> {
        let wrong = |name: &'static str, told: &str| Err((name, format!("{name}: {told}")));
        use VenueChannel as C;
        let is_by_symbol = |channel: &C| matches!(channel, C::Ticker | C::Book | C::Trade | C::Ohlc);
        if self.symbols.is_empty() && self.channels().iter().any(is_by_symbol) {
            return wrong("feed.names", "feed.symbols is missing (--symbols BTC/USD,ETH/USD)");
        }
        if !self.channels().iter().any(C::is_private) {
            return Ok(());
        }
        if self.tokens().is_none() {
            let told =
                "what is about an account needs feed.token, feed.token_file, or feed.api_key with its secret";
            return wrong("feed.channels", told);
        }
        Venue::Kraken
            .check_url(&self.private_url)
            .map_err(|told| ("feed.private_url", format!("feed.private_url: {told}")))?;
        if !has_host(&self.rest_url, &["https://", "http://"]) {
            return wrong("feed.rest_url", "expected https://HOST");
        }
        Ok(())
    }
}

/// Feeds that there are, each once.
pub(super) fn names(value: &[String]) -> Result<(), String> {
    for (at, name) in value.iter().enumerate() {
        if Venue::named(name).is_none() {
            return Err(format!("there is no feed {name:?}; there are kraken and futu"));
        }
        if value.iter().take(at).any(|known| known == name) {
            return Err(format!("{name} stands there twice"));
        }
    }
    Ok(())
}

/// Pairs as the venue names them.
pub(super) fn symbols(value: &[String]) -> Result<(), String> {
    let is_pair = |text: &&String| {
        let parts = text.split_once('/');
        let is_name = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        };
        parts.is_some_and(|(base, quote)| is_name(base) && is_name(quote))
    };
    match value.iter().find(|text| !is_pair(text)) {
        Some(text) => Err(format!("{text:?} is no pair, which is BASE/QUOTE such as BTC/USD")),
        None => Ok(()),
    }
}

/// A depth that the venue gives.
pub(super) fn depth(value: &usize) -> Result<(), String> {
    let fits = DEPTHS.contains(value);
    if fits { Ok(()) } else { Err(format!("expected 10, 25, 100, 500 or 1000, found {value}")) }
}

/// Channels that may be asked for.
pub(super) fn channels(value: &[String]) -> Result<(), String> {
    let known = || VenueChannel::ALL.iter().map(VenueChannel::name).collect::<Vec<_>>().join(", ");
    match value.iter().find(|name| !VenueChannel::ALL.contains(&VenueChannel::named(name))) {
        Some(name) => Err(format!("there is no channel {name:?}; there are {}", known())),
        None if value.is_empty() => Err(format!("expected at least one of {}, found none", known())),
        None => Ok(()),
    }
}

/// Lengths of candles.
pub(super) fn intervals(value: &[u32]) -> Result<(), String> {
    match value.iter().find(|minutes| !INTERVALS_MINUTES.contains(minutes)) {
        Some(minutes) => {
            let known: Vec<String> = INTERVALS_MINUTES.iter().map(u32::to_string).collect();
            Err(format!("there are no candles of {minutes} minutes; there are {}", known.join(", ")))
        }
        None if value.is_empty() => Err("expected at least one number of minutes, found none".to_string()),
        None => Ok(()),
    }
}

/// Levels that are published.
pub(super) fn levels(value: &usize) -> Result<(), String> {
    let fits = (1..=BOOK_LEVELS_LIMIT).contains(value);
    if fits { Ok(()) } else { Err(format!("expected 1 to {BOOK_LEVELS_LIMIT}, found {value}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kraken(change: impl FnOnce(&mut FeedValues)) -> Result<(), String> {
        let mut values = FeedValues { names: vec!["kraken".into()], ..FeedValues::default() };
        values.symbols = vec!["BTC/USD".into()];
        change(&mut values);
        values.check().map_err(|(_, told)| told)
    }

    #[test]
    fn a_feed_is_checked_before_it_is_started_and_the_flag_that_lacks_is_named() {
        assert_eq!(kraken(|_| {}), Ok(()));
        let told = |change: fn(&mut FeedValues)| kraken(change).unwrap_err();
        assert!(told(|values| values.symbols.clear()).contains("--symbols BTC/USD"));
        assert!(told(|values| values.names.clear()).contains("--feed kraken"));
        assert!(told(|values| values.urls = vec!["http://x".into()]).contains("ws://HOST or wss://HOST"));
        assert!(told(|values| values.urls = vec!["ws://x".into(), "ws://y".into()]).contains("more of them"));
        assert!(told(|values| values.names = vec!["futu".into()]).contains("--feed-url"));
        assert!(told(|values| values.channels.push("executions".into())).contains("feed.token"));
        let taken = told(|values| {
            values.symbols.push("ETH/USD".into());
            values.rename.insert("BTC/USD".into(), "ETH/USD".into());
        });
        assert!(taken.contains("BTC/USD and ETH/USD are both named ETH/USD"), "{taken}");
        let futu = told(|values| {
            values.names = vec!["futu".into()];
            values.urls = vec!["-".into()];
            values.map.insert("tickr".into(), "off".into());
        });
        assert!(futu.contains("no row tickr"), "{futu}");
        assert_eq!(kraken(|values| values.urls = vec!["ws://127.0.0.1:9/v2".into()]), Ok(()));
    }

    #[test]
    fn a_token_comes_before_a_key_and_a_secret_is_needed_with_a_key() {
        let mut values = FeedValues { api_key: "key".into(), ..FeedValues::default() };
        assert!(values.tokens().is_none());
        values.api_secret_file = "secret".into();
        assert!(matches!(values.tokens(), Some(Tokens::Signed { secret: Secret::File(_), .. })));
        values.token = "token".into();
        assert!(matches!(values.tokens(), Some(Tokens::Given(token)) if token == "token"));
    }

    #[test]
    fn what_no_venue_knows_is_refused_in_its_words() {
        assert!(names(&["krakn".into()]).unwrap_err().contains("kraken and futu"));
        assert!(names(&["kraken".into(), "kraken".into()]).unwrap_err().contains("twice"));
        for bad in ["BTC", "BTC/", "/USD", "BTC/USD/X", "BTC USD"] {
            assert!(symbols(&[bad.into()]).unwrap_err().contains("BASE/QUOTE"), "{bad}");
        }
        assert!(depth(&20).unwrap_err().contains("10, 25, 100, 500 or 1000"));
        assert!(channels(&["level3".into()]).unwrap_err().contains("ticker, book"));
        assert!(intervals(&[2]).unwrap_err().contains("1440"));
    }
}
