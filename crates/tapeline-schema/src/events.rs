//! The events: what the `data` of each family's messages holds, one struct a family.
//!
//! Owns the fields, their meaning and unit; JSON Schema, documents, SDK types and the check at publish follow from it.
//! Fields that are not declared are always allowed. Refuses to know how a family is delivered and kept.

mod agents;
mod dead_letter;
mod kinds;
mod market;
mod mismatch;
mod portfolio;
mod rule;
mod schema;
mod sentiment;
mod skim;
mod system;
mod trading;
mod training;
mod values;

pub use agents::{AgentResult, AgentStatus, PipelineUpdate, Signal};
pub use dead_letter::{DEAD_LETTER_REDRIVEN, DEAD_LETTERS, DeadLetter, DeadLetterReason};
pub use market::{BookRow, BookSide, Candle, Level, MarketTrade, OrderBook, PriceUpdate};
pub use mismatch::Mismatch;
pub use portfolio::{Balance, Portfolio, PortfolioValue, Position};
pub use schema::{BadSchema, EventSchema};
pub use sentiment::{NewsItem, SentimentUpdate, SocialPost};
pub use system::{
    Alert, AlertState, Freshness, FreshnessState, Metric, Notification, Presence, PresenceEvent,
    SourceHeartbeat, SystemHealth,
};
pub use trading::{Execution, OrderStatus, Trade, TradeType};
pub use training::{LogUpdate, MetricsUpdate, ProgressUpdate, StatusUpdate, TrainingError};
pub use values::{Extra, Id, Time};

#[cfg(test)]
mod tests;
