//! What is said to the venue: requests as it reads them. It does not know when one is due.

use std::sync::Arc;

use serde::Serialize;
use tapeline_core::feed::VenueChannel;

use super::settings::{EventTrigger, KrakenSettings};

/// Ask for it, or ask for it no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Subscribe,
    Unsubscribe,
}

/// One request for several instruments of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) req_id: u64,
    pub(super) channel: VenueChannel,
    pub(super) interval_minutes: Option<u32>,
    /// None for channels that are not about instruments.
    pub(super) symbols: Vec<Arc<str>>,
}

#[derive(Serialize)]
struct Text<'a> {
    method: &'static str,
    params: Params<'a>,
    req_id: u64,
}

#[derive(Default, Serialize)]
struct Params<'a> {
    channel: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    symbol: &'a [Arc<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_trigger: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snap_orders: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snap_trades: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl Request {
    /// As the venue reads it. Options of the subscription are repeated where it is ended: the venue finds it by them.
    pub(super) fn text(&self, settings: &KrakenSettings, token: Option<&str>) -> String {
        let subscribes = self.method == Method::Subscribe;
        let is_orders = self.channel == VenueChannel::Executions;
        // What a trade's snapshot is when nothing is said, the venue's own pages do not agree on.
        let snapshot = subscribes && !is_orders;
        let trigger = match settings.event_trigger {
            // An own word only where the venue would do otherwise.
            EventTrigger::Trades => None,
            EventTrigger::Bbo => Some(EventTrigger::Bbo.name()),
        };
        let params = Params {
            channel: self.channel.name(),
            symbol: &self.symbols,
            depth: (self.channel == VenueChannel::Book).then_some(settings.depth),
            interval: self.interval_minutes,
            event_trigger: trigger.filter(|_| self.channel == VenueChannel::Ticker),
            snapshot: snapshot.then_some(true),
            snap_orders: (subscribes && is_orders).then_some(settings.snap_orders),
            snap_trades: (subscribes && is_orders).then_some(settings.snap_trades),
            token: token.filter(|_| self.channel.is_private()),
        };
        let method = if subscribes { "subscribe" } else { "unsubscribe" };
        // Strings and numbers can always be written.
        serde_json::to_string(&Text { method, params, req_id: self.req_id }).unwrap_or_default()
    }
}

/// An application's ping; a `params` object in it would be refused.
pub(super) fn ping(req_id: u64) -> String {
    format!("{{\"method\":\"ping\",\"req_id\":{req_id}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, channel: VenueChannel, symbols: &[&str]) -> Request {
        let symbols = symbols.iter().map(|symbol| Arc::from(*symbol)).collect();
        Request { method, req_id: 7, channel, interval_minutes: None, symbols }
    }

    #[test]
    fn requests_are_written_as_the_venue_reads_them() {
        let settings = KrakenSettings { depth: 100, ..KrakenSettings::default() };
        let text = |request: Request| request.text(&settings, Some("secret"));
        assert_eq!(
            text(request(Method::Subscribe, VenueChannel::Book, &["BTC/USD", "ETH/USD"])),
            r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":100,"snapshot":true},"req_id":7}"#
        );
        assert_eq!(
            text(request(Method::Unsubscribe, VenueChannel::Book, &["BTC/USD"])),
            r#"{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":100},"req_id":7}"#
        );
        assert_eq!(
            text(request(Method::Subscribe, VenueChannel::Trade, &["BTC/USD"])),
            r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"],"snapshot":true},"req_id":7}"#
        );
        assert_eq!(
            text(request(Method::Subscribe, VenueChannel::Executions, &[])),
            r#"{"method":"subscribe","params":{"channel":"executions","snap_orders":true,"snap_trades":true,"token":"secret"},"req_id":7}"#
        );
        let candles =
            Request { interval_minutes: Some(5), ..request(Method::Subscribe, VenueChannel::Ohlc, &["A/B"]) };
        assert_eq!(
            text(candles),
            r#"{"method":"subscribe","params":{"channel":"ohlc","symbol":["A/B"],"interval":5,"snapshot":true},"req_id":7}"#
        );
    }

    #[test]
    fn a_ticker_of_every_best_price_says_so() {
        let settings = KrakenSettings { event_trigger: EventTrigger::Bbo, ..KrakenSettings::default() };
        let text = request(Method::Subscribe, VenueChannel::Ticker, &["BTC/USD"]).text(&settings, None);
        assert!(text.contains(r#""event_trigger":"bbo""#), "{text}");
    }

    #[test]
    fn a_ping_has_no_params() {
        assert_eq!(ping(3), r#"{"method":"ping","req_id":3}"#);
    }
}
