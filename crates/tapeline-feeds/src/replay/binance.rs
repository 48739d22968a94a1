//! What a line of a Binance recording is: a message of a combined stream, a REST depth snapshot, or something else.
//! Stream names and fields: <https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams>.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Which channel family a stream's messages go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Trade,
    Ticker,
    Depth,
}

impl Family {
    /// The text before the `:` of a channel's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Family::Trade => "bn_trade",
            Family::Ticker => "bn_ticker",
            Family::Depth => "bn_depth",
        }
    }

    fn of_stream(stream: &str) -> Option<Self> {
        let (_, kind) = stream.split_once('@')?;
        match kind {
            "trade" => Some(Family::Trade),
            "bookTicker" => Some(Family::Ticker),
            depth if depth.starts_with("depth") => Some(Family::Depth),
            _ => None,
        }
    }
}

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// A message of a stream that has a family.
    Stream(Family, Cow<'a, str>),
    /// A whole order book, which does not name its symbol.
    Snapshot,
    /// The name of a stream without a family, or what stands for it.
    Other(Cow<'a, str>),
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow)]
    s: Cow<'a, str>,
}

/// Reads one line's JSON; the error says what is wrong with it.
pub(super) fn read(json: &[u8]) -> Result<Said<'_>, String> {
    let frame: Frame<'_> = serde_json::from_slice(json).map_err(|error| match error.is_data() {
        true => format!("is not a message of Binance: {error}"),
        false => format!("is not JSON: {error}"),
    })?;
    let Some(stream) = frame.stream else {
        let said =
            if frame.last_update_id.is_some() { Said::Snapshot } else { Said::Other("no stream".into()) };
        return Ok(said);
    };
    let Some(family) = Family::of_stream(&stream) else { return Ok(Said::Other(stream)) };
    let data = frame.data.map_or("null", RawValue::get);
    let inner: Inner<'_> = serde_json::from_str(data)
        .map_err(|error| format!("stream {stream} has no symbol in data.s: {error}"))?;
    Ok(Said::Stream(family, inner.s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> Result<Said<'_>, String> {
        read(json.as_bytes())
    }

    #[test]
    fn each_stream_has_its_family() {
        let cases = [("trade", Family::Trade), ("bookTicker", Family::Ticker), ("depth", Family::Depth)];
        let more = [("depth@100ms", Family::Depth), ("depth20@100ms", Family::Depth)];
        for (kind, family) in cases.into_iter().chain(more) {
            let json = format!(r#"{{"stream":"btcusdt@{kind}","data":{{"s":"BTCUSDT"}}}}"#);
            assert_eq!(said(&json), Ok(Said::Stream(family, "BTCUSDT".into())), "{kind}");
        }
    }

    #[test]
    fn other_streams_and_answers_are_neither() {
        let kline = r#"{"stream":"btcusdt@kline_1m","data":[1]}"#;
        assert_eq!(said(kline), Ok(Said::Other("btcusdt@kline_1m".into())));
        assert_eq!(said(r#"{"stream":"btcusdt@aggTrade"}"#), Ok(Said::Other("btcusdt@aggTrade".into())));
        assert_eq!(said(r#"{"result":null,"id":1}"#), Ok(Said::Other("no stream".into())));
        assert_eq!(said(r#"{"lastUpdateId":5,"bids":[]}"#), Ok(Said::Snapshot));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(said("{\"stream\":").unwrap_err().starts_with("is not JSON: EOF"));
        assert!(said("[]x").is_err());
        let nameless = said(r#"{"stream":"btcusdt@trade","data":{"p":"1"}}"#).unwrap_err();
        assert!(nameless.contains("btcusdt@trade has no symbol in data.s"), "{nameless}");
        assert!(said(r#"{"stream":"btcusdt@trade"}"#).is_err());
    }
}
