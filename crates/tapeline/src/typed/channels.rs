//! Which family an event belongs to, and which channel it names.

use serde::Serialize;
use tapeline_schema::events::{
    AgentResult, AgentStatus, Alert, Balance, BookRow, Candle, DeadLetter, Execution, Freshness, Id,
    LogUpdate, MarketTrade, Metric, MetricsUpdate, NewsItem, Notification, OrderBook, OrderStatus,
    PipelineUpdate, Portfolio, PortfolioValue, Position, Presence, PriceUpdate, ProgressUpdate,
    SentimentUpdate, Signal, SocialPost, SourceHeartbeat, StatusUpdate, SystemHealth, Trade, TrainingError,
};

/// An event of the catalogue.
pub trait CatalogEvent: Serialize {
    /// What its channels' names begin with: `market_data`.
    const FAMILY: &'static str;
}

/// An event whose fields name its channel.
pub trait NamesItsChannel: CatalogEvent {
    /// The channel: `market_data:AAPL`.
    fn channel(&self) -> String;
}

macro_rules! families {
    ($($event:ident $family:literal $($key:ident)?;)*) => {$(
        impl CatalogEvent for $event {
            const FAMILY: &'static str = $family;
        }
        $(impl NamesItsChannel for $event {
            fn channel(&self) -> String {
                super::keyed($family, &self.$key)
            }
        })?
    )*};
}

families! {
    PriceUpdate     "market_data" symbol;
    OrderBook       "orderbook";
    BookRow         "orderbook_rows";
    MarketTrade     "market_trades" symbol;
    Candle          "ohlc";
    Trade           "trades" portfolio_id;
    OrderStatus     "order_status" order_id;
    Execution       "executions";
    Balance         "balances";
    Portfolio       "portfolio";
    Position        "positions";
    PortfolioValue  "portfolio_value";
    AgentStatus     "agent_status";
    AgentResult     "agent_result" agent_id;
    PipelineUpdate  "pipeline" pipeline_id;
    SystemHealth    "system_health";
    Metric          "metrics";
    Alert           "alerts" source;
    Freshness       "freshness" of;
    Presence        "presence" of;
    Notification    "notifications" user_id;
    SentimentUpdate "sentiment" symbol;
    NewsItem        "news";
    SocialPost      "social";
    Signal          "quantum_signals";
    StatusUpdate    "training.status" experiment_id;
    TrainingError   "training.error" experiment_id;
    LogUpdate       "training.log" experiment_id;
    ProgressUpdate  "training.progress" experiment_id;
    MetricsUpdate   "training.metrics" experiment_id;
    SourceHeartbeat "heartbeat" source;
    DeadLetter      "dead_letters";
}

impl NamesItsChannel for Candle {
    fn channel(&self) -> String {
        let interval = match &self.interval {
            Id::Text(text) => text.clone(),
            Id::Number(number) => number.to_string(),
        };
        format!("ohlc:{}:{interval}", self.symbol)
    }
}

/// Families of one channel.
macro_rules! alone {
    ($($event:ident)*) => {$(
        impl NamesItsChannel for $event {
            fn channel(&self) -> String {
                Self::FAMILY.to_string()
            }
        }
    )*};
}

alone! { AgentStatus SystemHealth Metric NewsItem SocialPost Signal }

#[cfg(test)]
mod tests {
    use tapeline_schema::Catalog;

    use super::*;

    fn families() -> Vec<&'static str> {
        macro_rules! all {
            ($($event:ident)*) => { vec![$($event::FAMILY),*] };
        }
        all! {
            PriceUpdate OrderBook BookRow MarketTrade Candle Trade OrderStatus Execution Balance Portfolio
            Position PortfolioValue AgentStatus AgentResult PipelineUpdate SystemHealth Metric Alert Freshness Presence
            Notification SentimentUpdate NewsItem SocialPost Signal StatusUpdate TrainingError LogUpdate
            ProgressUpdate MetricsUpdate SourceHeartbeat DeadLetter
        }
    }

    #[test]
    fn every_family_of_the_catalogue_has_an_event_here() {
        let mut known = families();
        let catalog = Catalog::built_in();
        let mut declared: Vec<&str> = catalog.specs().map(|spec| spec.family.as_str()).collect();
        known.sort_unstable();
        declared.sort_unstable();
        assert_eq!(known, declared);
    }

    #[test]
    fn a_candle_names_both_keys() {
        let text =
            r#"{"symbol":"BTC/USD","interval":5,"begin":"x","open":1,"high":1,"low":1,"close":1,"volume":1}"#;
        let candle: Candle = serde_json::from_str(text).unwrap();
        assert_eq!(candle.channel(), "ohlc:BTC/USD:5");
    }
}
