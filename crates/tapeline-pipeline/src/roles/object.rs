//! A component as the pipeline sees it: methods that are found and called by their names. It knows neither roles nor
//! channels.

use crate::component::Handling;
use crate::data::Data;

/// What a method takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arity {
    /// The data alone: `on_trade_update(data)`.
    Data,
    /// Before it the symbol or the channel: `on_trade_update(symbol, data)`, `process_market_data(channel, data)`.
    KeyAndData,
}

/// What a method is called with.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    /// The symbol, or for `process_market_data` and `process_websocket_data` the channel; empty where an update is about
    /// no instrument. A method of [`Arity::Data`] is not given it.
    pub key: &'a str,
    /// What has come.
    pub data: &'a Data,
}

/// Something with methods. A Python object becomes a component through this.
pub trait Object: Send + Sync {
    /// Whether it has a method of this name, and what that takes; asked at registration, never again.
    fn method(&self, name: &str) -> Option<Arity>;

    /// Calls a method that it has.
    fn call<'a>(&'a self, method: &'a str, arguments: Arguments<'a>) -> Handling<'a>;
}
