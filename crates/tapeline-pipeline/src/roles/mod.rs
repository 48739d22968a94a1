//! What components are, as the source document (seeds/004) names them: balance managers, trading engines, strategy
//! managers, risk managers and others. Which method of a component is called with which channel is decided once, at
//! registration ([`plan`]), by the names of the methods that it has.
//!
//! | the document's object | here |
//! |---|---|
//! | any object with some of the methods | [`Object`]: asked which methods it has, called by their names |
//! | a Python object | an implementation of [`Object`] (in the Python package) |
//! | a Rust type | [`BalanceManager`], [`TradingEngine`], [`StrategyManager`], [`RiskManager`], [`CustomComponent`] |
//! | closures | [`Methods`] |

mod member;
mod methods;
mod object;
mod plan;
#[cfg(test)]
mod tests;
mod typed;

pub use member::Member;
pub use methods::{Methods, Outcome};
pub use object::{Arguments, Arity, Object};
pub use plan::{MARKET, Role};
pub use typed::{
    BalanceManager, CustomComponent, RiskManager, StrategyManager, TradingEngine, balance_manager,
    custom_component, risk_manager, strategy_manager, trading_engine,
};
