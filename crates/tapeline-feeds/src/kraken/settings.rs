//! What a session with Kraken is to subscribe to, and how patient it is. It is checked before a session begins, so that
//! what the venue would refuse in every case is found out at home.

use std::sync::Arc;
use std::time::Duration;

use tapeline_core::feed::VenueChannel;

/// The venue's public socket.
pub const PUBLIC_URL: &str = "wss://ws.kraken.com/v2";
/// The venue's socket for accounts.
pub const PRIVATE_URL: &str = "wss://ws-auth.kraken.com/v2";
/// Depths of books that the venue has.
pub const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1_000];
/// Lengths of candles that the venue has, in minutes.
pub const INTERVALS_MINUTES: [u32; 9] = [1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600];
/// Instruments of one session.
pub const SYMBOLS_LIMIT: usize = 5_000;
/// Bytes of an instrument's name; the longest that the venue has are about 20.
const SYMBOL_BYTES: usize = 64;

/// Which of the two sockets; the venue keeps them apart, and so do we.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Market data, for anybody.
    #[default]
    Public,
    /// An account, by a token.
    Private,
}

/// What makes the venue send a ticker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventTrigger {
    /// A trade.
    #[default]
    Trades,
    /// A change of the best bid or ask.
    Bbo,
}

impl EventTrigger {
    /// As the venue writes it.
    pub fn name(self) -> &'static str {
        match self {
            EventTrigger::Trades => "trades",
            EventTrigger::Bbo => "bbo",
        }
    }
}

/// How long a session waits for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the venue's `status` after connecting; then it is subscribed without.
    pub status: Duration,
    /// For the precisions of instruments, which books need; then they are subscribed without.
    pub instruments: Duration,
    /// For the answer to a request.
    pub answer: Duration,
    /// For the snapshot of a book after the answer.
    pub snapshot: Duration,
    /// Without any frame, before the venue is asked for a sign of life.
    pub idle: Duration,
    /// For that sign; then the connection is given up.
    pub pong: Duration,
    /// For any frame while the venue is in maintenance.
    pub maintenance: Duration,
    /// So long a connection must hold for the next loss to count as the first.
    pub steady: Duration,
    /// How long a channel may be without data while the connection lives and the venue is online. A channel that is not
    /// named may be quiet for ever: an instrument without trades is no fault. So a ticker is silent only where no
    /// instrument has one, a book by itself.
    pub silence: Vec<(VenueChannel, Duration)>,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Patience {
            status: seconds(5),
            instruments: seconds(5),
            answer: seconds(5),
            snapshot: seconds(10),
            idle: seconds(5),
            pong: seconds(5),
            maintenance: seconds(120),
            steady: seconds(30),
            silence: vec![(VenueChannel::Ticker, seconds(120)), (VenueChannel::Book, seconds(60))],
        }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KrakenSettings {
    /// `wss://…`, or `ws://…` of a recording that is replayed.
    pub url: String,
    /// What the updates say as their source.
    pub source: Arc<str>,
    /// Which of the two sockets.
    pub access: Access,
    /// Instruments as version 2 names them: `BTC/USD`.
    pub symbols: Vec<Arc<str>>,
    /// What is subscribed to, and passed on; `heartbeat` and `status` come by themselves, and are passed on if named.
    pub channels: Vec<VenueChannel>,
    /// Levels a side of books.
    pub depth: usize,
    /// Lengths of candles.
    pub ohlc_intervals_minutes: Vec<u32>,
    /// What makes a ticker.
    pub event_trigger: EventTrigger,
    /// Whether an account's open orders come first.
    pub snap_orders: bool,
    /// Whether an account's last 50 fills come first. Without them, fills between two connections stay unknown.
    pub snap_trades: bool,
    /// Connections that may be tried in ten minutes. The venue bans an address that tries about 150 times; a public and a
    /// private session share the address.
    pub attempts: usize,
    /// Requests a second on the socket.
    pub requests_per_second: u32,
    /// Requests that may be sent at once.
    pub request_burst: u32,
    /// See there.
    pub patience: Patience,
}

impl Default for KrakenSettings {
    fn default() -> Self {
        KrakenSettings {
            url: PUBLIC_URL.to_string(),
            source: "kraken".into(),
            access: Access::Public,
            symbols: Vec::new(),
            channels: vec![VenueChannel::Ticker, VenueChannel::Book, VenueChannel::Trade, VenueChannel::Ohlc],
            depth: 10,
            ohlc_intervals_minutes: vec![1],
            event_trigger: EventTrigger::Trades,
            snap_orders: true,
            snap_trades: true,
            attempts: 60,
            requests_per_second: 20,
            request_burst: 10,
            patience: Patience::default(),
        }
    }
}

/// Why a session cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The address.
    #[error("the address {0:?} is none of a WebSocket: it begins with neither wss:// nor ws://")]
    Url(String),
    /// The depth.
    #[error("kraken has no books of depth {0}, but of 10, 25, 100, 500 and 1000")]
    Depth(usize),
    /// The length of a candle.
    #[error("kraken has no candles of {0} minutes, but of 1, 5, 15, 30, 60, 240, 1440, 10080 and 21600")]
    Interval(u32),
    /// A channel of the other socket, or of none.
    #[error("the channel {channel} is not to be had on kraken's {socket} socket")]
    Channel {
        /// Which.
        channel: VenueChannel,
        /// `public` or `private`.
        socket: &'static str,
    },
    /// No instrument, though a channel needs one.
    #[error("the channel {0} needs symbols such as BTC/USD")]
    NoSymbols(VenueChannel),
    /// The name of an instrument.
    #[error(
        "the symbol {0:?} is none of kraken's: they look like BTC/USD and have at most {SYMBOL_BYTES} bytes"
    )]
    Symbol(Arc<str>),
    /// Too many instruments.
    #[error("{0} symbols are given, the limit of a session is {SYMBOLS_LIMIT}")]
    Symbols(usize),
}

impl KrakenSettings {
    /// For an account: its orders and what it holds.
    pub fn private() -> Self {
        KrakenSettings {
            url: PRIVATE_URL.to_string(),
            access: Access::Private,
            channels: vec![VenueChannel::Executions, VenueChannel::Balances],
            ..Self::default()
        }
    }

    /// Whether a session can begin with it.
    ///
    /// # Errors
    /// The first thing that the venue would refuse.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !self.url.starts_with("ws://") && !self.url.starts_with("wss://") {
            return Err(SettingsError::Url(self.url.clone()));
        }
        if !DEPTHS.contains(&self.depth) {
            return Err(SettingsError::Depth(self.depth));
        }
        let unknown = self.ohlc_intervals_minutes.iter().find(|minutes| !INTERVALS_MINUTES.contains(minutes));
        if let Some(minutes) = unknown {
            return Err(SettingsError::Interval(*minutes));
        }
        if self.symbols.len() > SYMBOLS_LIMIT {
            return Err(SettingsError::Symbols(self.symbols.len()));
        }
        if let Some(symbol) = self.symbols.iter().find(|symbol| !is_symbol(symbol)) {
            return Err(SettingsError::Symbol(symbol.clone()));
        }
        self.channels.iter().try_for_each(|channel| self.check_channel(channel))
    }

    fn check_channel(&self, channel: &VenueChannel) -> Result<(), SettingsError> {
        use VenueChannel as C;
        let (belongs, socket) = match self.access {
            Access::Public => (!channel.is_private(), "public"),
            Access::Private => {
                (channel.is_private() || matches!(channel, C::Status | C::Heartbeat), "private")
            }
        };
        if !belongs || matches!(channel, C::Other(_)) {
            return Err(SettingsError::Channel { channel: channel.clone(), socket });
        }
        if is_by_symbol(channel) && self.symbols.is_empty() {
            return Err(SettingsError::NoSymbols(channel.clone()));
        }
        Ok(())
    }

    /// Whether it is to be passed on.
    pub(super) fn wants(&self, channel: &VenueChannel) -> bool {
        self.channels.contains(channel)
    }
}

/// Whether a subscription of the channel names instruments.
pub(super) fn is_by_symbol(channel: &VenueChannel) -> bool {
    use VenueChannel as C;
    matches!(channel, C::Ticker | C::Book | C::Trade | C::Ohlc)
}

fn is_symbol(symbol: &str) -> bool {
    let is_plain = symbol.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    is_plain && symbol.len() <= SYMBOL_BYTES && symbol.split('/').filter(|part| !part.is_empty()).count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public() -> KrakenSettings {
        KrakenSettings { symbols: vec!["BTC/USD".into()], ..KrakenSettings::default() }
    }

    #[test]
    fn what_the_venue_would_refuse_in_every_case_is_refused_at_home() {
        assert_eq!(public().check(), Ok(()));
        assert_eq!(KrakenSettings::private().check(), Ok(()));
        let wrong = |change: fn(&mut KrakenSettings)| {
            let mut settings = public();
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        assert!(wrong(|settings| settings.url = "http://x".into()).contains("none of a WebSocket"));
        assert!(wrong(|settings| settings.depth = 20).contains("depth 20"));
        assert!(wrong(|settings| settings.ohlc_intervals_minutes = vec![1, 7]).contains("7 minutes"));
        assert!(wrong(|settings| settings.symbols = vec!["BTCUSD".into()]).contains("BTCUSD"));
        assert!(wrong(|settings| settings.symbols.clear()).contains("ticker needs symbols"));
        assert!(wrong(|settings| settings.channels.push(VenueChannel::Balances)).contains("public socket"));
        assert!(wrong(|settings| settings.channels.push(VenueChannel::named("level3"))).contains("level3"));
    }
}
