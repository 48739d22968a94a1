//! What one's own orders do: fills, their status, what a venue says of an account.
//!
//! All of it is critical: each message is delivered, in order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Extra, Id, Time};

/// Which way a trade went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TradeType {
    /// Bought.
    Buy,
    /// Sold.
    Sell,
}

/// A fill of a portfolio's order, published by whoever executes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trade {
    /// The portfolio, as the channel's key names it.
    pub portfolio_id: String,
    /// The instrument.
    pub symbol: String,
    /// Bought or sold.
    pub trade_type: TradeType,
    /// How much, in units of the instrument; positive both ways.
    pub quantity: f64,
    /// The price, in the quote currency.
    pub price: f64,
}

/// Where an order stands, published by whoever executes. The newest of a channel is how it stands now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderStatus {
    /// The order, as the channel's key names it.
    pub order_id: String,
    /// In the publisher's words, such as `new`, `partially_filled`, `filled`, `cancelled`.
    pub status: String,
    /// The instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// How much is filled, in units of the instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filled: Option<f64>,
    /// How much is not yet, in units of the instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<f64>,
    /// Who may read the channel: a token's subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// What a venue says of an account's orders, as it says it. Published by feeds; these are the fields most venues
/// have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Execution {
    /// The venue's name of this report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_id: Option<Id>,
    /// The order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Id>,
    /// The trade, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade_id: Option<Id>,
    /// What happened: `new`, `trade`, `canceled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_type: Option<String>,
    /// How the order stands after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_status: Option<String>,
    /// The instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// `buy` or `sell`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<String>,
    /// How much this report filled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_qty: Option<f64>,
    /// At what price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_price: Option<f64>,
    /// How much is filled in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cum_qty: Option<f64>,
    /// When, as the venue says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
    /// Whatever else the publisher sends.
    #[serde(flatten)]
    pub extra: Extra,
}
