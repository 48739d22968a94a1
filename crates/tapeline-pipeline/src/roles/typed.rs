//! The document's interfaces as Rust traits, under its names, and each as an [`Object`]. A Rust type implements the
//! trait of its role and becomes a component through the function below it; a method that it lacks is never called.
//!
//! What is called awaits nothing that blocks a thread: it runs on the component's own, but its timeout only takes hold
//! where it awaits.

use std::sync::Arc;

use super::object::{Arguments, Arity, Object};
use crate::component::{Failure, Handling};
use crate::data::Data;

/// A method that was left out and yet called.
fn missing<'a>(method: &str) -> Handling<'a> {
    Box::pin(std::future::ready(Err(Failure::Permanent(format!("no method {method}")))))
}

/// Keeps what an account holds. One of the two methods for balances is called, never both: that for a map by asset, if
/// [`BalanceManager::has`] says that it is there.
pub trait BalanceManager: Send + Sync {
    /// Whether it has a method of the document's name; as long as this is not overridden, only
    /// `process_websocket_update`.
    fn has(&self, method: &str) -> bool {
        method == "process_websocket_update"
    }

    /// Balances by asset: `{"BTC": {"asset": "BTC", "balance": 1.2, …}, …}`.
    fn process_websocket_update<'a>(&'a self, _balances: &'a Data) -> Handling<'a> {
        missing("process_websocket_update")
    }

    /// The venue's list as it was sent (`_handle_balance_message` in the document).
    fn handle_balance_message<'a>(&'a self, _balances: &'a Data) -> Handling<'a> {
        missing("_handle_balance_message")
    }

    /// What became of an order.
    fn process_execution<'a>(&'a self, _execution: &'a Data) -> Handling<'a> {
        missing("process_execution")
    }
}

/// Places orders, and follows them and the market.
pub trait TradingEngine: Send + Sync {
    /// A price has come.
    fn update_ticker<'a>(&'a self, symbol: &'a str, ticker: &'a Data) -> Handling<'a>;

    /// A book is so now.
    fn update_orderbook<'a>(&'a self, symbol: &'a str, book: &'a Data) -> Handling<'a>;

    /// What became of an order.
    fn process_execution<'a>(&'a self, execution: &'a Data) -> Handling<'a>;
}

/// Decides what to do.
pub trait StrategyManager: Send + Sync {
    /// A price has come.
    fn on_ticker_update<'a>(&'a self, symbol: &'a str, ticker: &'a Data) -> Handling<'a>;

    /// A book is so now.
    fn on_orderbook_update<'a>(&'a self, symbol: &'a str, book: &'a Data) -> Handling<'a>;

    /// A candle has changed or begun.
    fn on_ohlc_update<'a>(&'a self, symbol: &'a str, candle: &'a Data) -> Handling<'a>;
}

/// Watches all markets.
pub trait RiskManager: Send + Sync {
    /// Something of a market has come, on one of [`super::MARKET`]'s channels.
    fn process_market_data<'a>(&'a self, channel: &'a str, data: &'a Data) -> Handling<'a>;
}

/// Takes whatever it is registered for.
pub trait CustomComponent: Send + Sync {
    /// Something has come on one of its channels.
    fn process_websocket_data<'a>(&'a self, channel: &'a str, data: &'a Data) -> Handling<'a>;
}

/// A table from names to methods: `"name" => arity, |component, arguments| call`.
macro_rules! object {
    ($(#[$about:meta])* $make:ident, $wrapper:ident, $of:ident, $has:expr, {$($name:literal => $arity:ident $call:expr),+ $(,)?}) => {
        struct $wrapper<T>(T);

        impl<T: $of> Object for $wrapper<T> {
            fn method(&self, name: &str) -> Option<Arity> {
                let has: fn(&T, &str) -> bool = $has;
                let arity = match name {
                    $($name => Arity::$arity,)+
                    _ => return None,
                };
                has(&self.0, name).then_some(arity)
            }

            fn call<'a>(&'a self, method: &'a str, arguments: Arguments<'a>) -> Handling<'a> {
                match method {
                    $($name => {
                        let call: fn(&'a T, Arguments<'a>) -> Handling<'a> = $call;
                        call(&self.0, arguments)
                    })+
                    _ => missing(method),
                }
            }
        }

        $(#[$about])*
        pub fn $make(component: impl $of + 'static) -> Arc<dyn Object> {
            Arc::new($wrapper(component))
        }
    };
}

object!(
    /// A balance manager as an object; share it as an `Arc` of yours to go on calling its other methods.
    balance_manager, Balances, BalanceManager, |component, name| component.has(name), {
        "process_websocket_update" => Data |component, with| component.process_websocket_update(with.data),
        "_handle_balance_message" => Data |component, with| component.handle_balance_message(with.data),
        "process_execution" => Data |component, with| component.process_execution(with.data),
    }
);

object!(
    /// A trading engine as an object.
    trading_engine, Trading, TradingEngine, |_, _| true, {
        "update_ticker" => KeyAndData |component, with| component.update_ticker(with.key, with.data),
        "update_orderbook" => KeyAndData |component, with| component.update_orderbook(with.key, with.data),
        "process_execution" => Data |component, with| component.process_execution(with.data),
    }
);

object!(
    /// A strategy manager as an object.
    strategy_manager, Strategy, StrategyManager, |_, _| true, {
        "on_ticker_update" => KeyAndData |component, with| component.on_ticker_update(with.key, with.data),
        "on_orderbook_update" => KeyAndData |component, with| component.on_orderbook_update(with.key, with.data),
        "on_ohlc_update" => KeyAndData |component, with| component.on_ohlc_update(with.key, with.data),
    }
);

object!(
    /// A risk manager as an object.
    risk_manager, Risk, RiskManager, |_, _| true, {
        "process_market_data" => KeyAndData |component, with| component.process_market_data(with.key, with.data),
    }
);

object!(
    /// Any other component as an object.
    custom_component, Custom, CustomComponent, |_, _| true, {
        "process_websocket_data" => KeyAndData |component, with| component.process_websocket_data(with.key, with.data),
    }
);

/// A component that others hold too.
macro_rules! shared {
    ($($of:ident { $($method:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)+ })+) => {
        $(impl<T: $of + ?Sized> $of for Arc<T> {
            $(fn $method<'a>(&'a self, $($argument: $kind),*) -> $answer {
                (**self).$method($($argument),*)
            })+
        })+
    };
}

shared! {
    BalanceManager {
        has(method: &str) -> bool;
        process_websocket_update(balances: &'a Data) -> Handling<'a>;
        handle_balance_message(balances: &'a Data) -> Handling<'a>;
        process_execution(execution: &'a Data) -> Handling<'a>;
    }
    TradingEngine {
        update_ticker(symbol: &'a str, ticker: &'a Data) -> Handling<'a>;
        update_orderbook(symbol: &'a str, book: &'a Data) -> Handling<'a>;
        process_execution(execution: &'a Data) -> Handling<'a>;
    }
    StrategyManager {
        on_ticker_update(symbol: &'a str, ticker: &'a Data) -> Handling<'a>;
        on_orderbook_update(symbol: &'a str, book: &'a Data) -> Handling<'a>;
        on_ohlc_update(symbol: &'a str, candle: &'a Data) -> Handling<'a>;
    }
    RiskManager {
        process_market_data(channel: &'a str, data: &'a Data) -> Handling<'a>;
    }
    CustomComponent {
        process_websocket_data(channel: &'a str, data: &'a Data) -> Handling<'a>;
    }
}
