//! What is held: portfolios, positions, balances, values.
//!
//! A position is a holding here, never a place in a channel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Extra;

/// A portfolio as a whole, published by whoever keeps it. Any object is taken; these are the fields of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Portfolio {
    /// The portfolio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portfolio_id: Option<String>,
    /// Money not invested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cash: Option<f64>,
    /// Cash and holdings at the market's prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Whatever else the publisher sends.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A row: what a portfolio holds of one instrument. Its key is `symbol`. Published by whoever keeps the portfolio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Position {
    /// The instrument.
    pub symbol: String,
    /// How much, in units of the instrument; negative when sold short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<f64>,
    /// What it was bought for, on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_price: Option<f64>,
    /// The market's price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// The quantity at the market's price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The value less what it was bought for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrealized_pnl: Option<f64>,
    /// Whatever else the publisher sends.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What a portfolio is worth, published by whoever keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortfolioValue {
    /// Cash and holdings at the market's prices.
    pub value: f64,
    /// The currency's code, such as `USD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The value less the value of the update before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<f64>,
}

/// A row: what an account holds of one asset, as the venue says it. Its key is `asset`. Published by feeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Balance {
    /// The asset: `BTC`, `USD`.
    pub asset: String,
    /// How much there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<f64>,
    /// Whatever else the publisher sends.
    #[serde(flatten)]
    pub extra: Extra,
}
