//! Portfolios: as a whole, by holding, by worth.

use serde::Serialize;
use tapeline_schema::events::{Portfolio, PortfolioValue, Position};

use super::{CatalogEvent, keyed};
use crate::bus::EventBus;
use crate::publish::Publish;

impl EventBus {
    /// A portfolio as a whole, any object, on `portfolio:{portfolio_id}`; [`Portfolio`] has fields of ours.
    pub fn publish_portfolio(
        &self,
        portfolio_id: impl AsRef<str>,
        portfolio: &impl Serialize,
    ) -> Publish<'_> {
        self.publish(keyed(Portfolio::FAMILY, portfolio_id), portfolio)
    }

    /// What a portfolio holds of one instrument, a row of `positions:{portfolio_id}`.
    pub fn publish_position(&self, portfolio_id: impl AsRef<str>, position: &Position) -> Publish<'_> {
        self.publish_event_to(portfolio_id, position)
    }

    /// What a portfolio is worth, on `portfolio_value:{portfolio_id}`.
    pub fn publish_portfolio_value(&self, portfolio_id: impl AsRef<str>, value: f64) -> Publish<'_> {
        self.publish_event_to(portfolio_id, &PortfolioValue { value, currency: None, change: None })
    }
}
