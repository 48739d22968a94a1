//! Who gets what, and by which method: the one table of it. The first method of a channel's row that a component has is
//! called, and no other: a balance manager with both methods for balances is called once.

use tapeline_core::feed::VenueChannel;

use super::object::{Arity, Object};

/// Channels about markets, which risk managers get all of.
pub const MARKET: [VenueChannel; 4] =
    [VenueChannel::Ticker, VenueChannel::Book, VenueChannel::Trade, VenueChannel::Ohlc];

/// What a component is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Balances and executions.
    BalanceManager,
    /// Executions, tickers, books and trades.
    TradingEngine,
    /// Tickers, books and candles.
    StrategyManager,
    /// All channels about markets.
    RiskManager,
    /// Whatever it has methods for.
    Custom,
}

impl Role {
    /// As in reports.
    pub fn name(self) -> &'static str {
        match self {
            Role::BalanceManager => "balance_manager",
            Role::TradingEngine => "trading_engine",
            Role::StrategyManager => "strategy_manager",
            Role::RiskManager => "risk_manager",
            Role::Custom => "custom",
        }
    }

    /// Channels that the document gives to the role; of a custom component, all that it may have methods for.
    pub fn channels(self) -> &'static [VenueChannel] {
        use VenueChannel::{Balances, Book, Executions, Ohlc, Ticker, Trade};
        match self {
            Role::BalanceManager => &[Balances, Executions],
            Role::TradingEngine => &[Executions, Ticker, Book, Trade],
            Role::StrategyManager => &[Ticker, Book, Ohlc],
            Role::RiskManager => &MARKET,
            Role::Custom => &VenueChannel::ALL,
        }
    }
}

/// What stands before the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Symbol,
    Channel,
}

/// The form of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As the venue sends it.
    AsSent,
    /// Balances as `{asset: {…}}`.
    ByAsset,
    /// Balances as a list.
    List,
}

/// How a component is called with a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) channel: VenueChannel,
    pub(crate) method: Box<str>,
    pub(crate) arity: Arity,
    pub(crate) key: Key,
    pub(crate) shape: Shape,
}

const BY_ASSET: &str = "process_websocket_update";
const LIST: &str = "_handle_balance_message";
/// Methods for any channel, asked for last; the first only for channels about markets.
const ANY_MARKET: &str = "process_market_data";
const ANY: &str = "process_websocket_data";

/// Methods that the document gives to a role for a channel.
fn of_roles(channel: &VenueChannel) -> &'static [&'static str] {
    match channel {
        VenueChannel::Ticker => &["update_ticker"],
        VenueChannel::Book => &["update_orderbook"],
        VenueChannel::Balances => &[BY_ASSET, LIST],
        VenueChannel::Executions => &["process_execution"],
        _ => &[],
    }
}

/// `on_{channel}_update`; a book goes by two names.
fn on_update(channel: &VenueChannel) -> Vec<String> {
    let names: &[&str] =
        if *channel == VenueChannel::Book { &["orderbook", "book"] } else { &[channel.name()] };
    names.iter().map(|name| format!("on_{name}_update")).collect()
}

/// Methods in the order in which they are looked for.
fn wanted(role: Role, channel: &VenueChannel) -> Vec<String> {
    let on = on_update(channel);
    let of_roles: Vec<String> = of_roles(channel).iter().map(ToString::to_string).collect();
    let market = Vec::from_iter(MARKET.contains(channel).then(|| ANY_MARKET.to_string()));
    let any = vec![ANY.to_string()];
    match role {
        Role::BalanceManager | Role::TradingEngine => [of_roles, on, market, any].concat(),
        Role::StrategyManager | Role::Custom => [on, of_roles, market, any].concat(),
        Role::RiskManager => [market, on, of_roles, any].concat(),
    }
}

/// How an object of this role is called with a channel; `None` if it has no method for it.
pub(crate) fn call(role: Role, object: &dyn Object, channel: &VenueChannel) -> Option<Call> {
    let found = |method: String| Some((object.method(&method)?, method));
    let (arity, method) = wanted(role, channel).into_iter().find_map(found)?;
    let key = if matches!(&*method, ANY_MARKET | ANY) { Key::Channel } else { Key::Symbol };
    let shape = match &*method {
        BY_ASSET => Shape::ByAsset,
        LIST => Shape::List,
        _ => Shape::AsSent,
    };
    Some(Call { channel: channel.clone(), method: method.into(), arity, key, shape })
}
