//! Trading: fills, orders, and what venues say of accounts.

use tapeline_schema::events::{Balance, Execution, OrderStatus, Trade, TradeType};

use crate::bus::EventBus;
use crate::publish::Publish;

impl EventBus {
    /// A fill of a portfolio's order: reaches subscribers of `trades:{portfolio_id}` and `trades`.
    pub fn publish_trade(
        &self,
        portfolio_id: impl Into<String>,
        symbol: impl Into<String>,
        trade_type: TradeType,
        quantity: f64,
        price: f64,
    ) -> Publish<'_> {
        let (portfolio_id, symbol) = (portfolio_id.into(), symbol.into());
        self.publish_event(&Trade { portfolio_id, symbol, trade_type, quantity, price })
    }

    /// Where an order stands: reaches subscribers of `order_status:{order_id}` and `orders`.
    pub fn publish_order_status(
        &self,
        order_id: impl Into<String>,
        status: impl Into<String>,
    ) -> Publish<'_> {
        let (order_id, status) = (order_id.into(), status.into());
        self.publish_event(&OrderStatus {
            order_id,
            status,
            symbol: None,
            filled: None,
            remaining: None,
            owner: None,
        })
    }

    /// What a venue says of an account's orders, on `executions:{account}`.
    pub fn publish_execution(&self, account: impl AsRef<str>, execution: &Execution) -> Publish<'_> {
        self.publish_event_to(account, execution)
    }

    /// What an account holds of one asset, a row of `balances:{account}`.
    pub fn publish_balance(
        &self,
        account: impl AsRef<str>,
        asset: impl Into<String>,
        balance: f64,
    ) -> Publish<'_> {
        let row = Balance { asset: asset.into(), balance: Some(balance), extra: Default::default() };
        self.publish_event_to(account, &row)
    }
}
