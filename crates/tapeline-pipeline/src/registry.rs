//! Which components there are: the nine that the document finds on a bot by their names, each with its role, and those
//! that are registered by hand. Names are unique. It does not run anything.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use tapeline_core::feed::VenueChannel;

use crate::roles::{Member, Object, Role};

/// The names that are looked for on a bot, with their roles. The four that the document names no methods for get
/// whatever they have methods for.
pub const DISCOVERED: [(&str, Role); 9] = [
    ("balance_manager", Role::BalanceManager),
    ("balance_manager_v2", Role::BalanceManager),
    ("trade_executor", Role::TradingEngine),
    ("strategy_manager", Role::StrategyManager),
    ("functional_strategy_manager", Role::StrategyManager),
    ("critical_error_guardian", Role::Custom),
    ("opportunity_scanner", Role::Custom),
    ("hft_signal_processor", Role::Custom),
    ("learning_manager", Role::Custom),
];

/// Bytes of a name at most.
const NAME_BYTES: usize = 64;

/// What components are looked for on. In Python any object: its attributes.
pub trait Bot: Send + Sync {
    /// The component of this name, if there is one.
    fn component(&self, name: &str) -> Option<Arc<dyn Object>>;
}

impl Bot for BTreeMap<String, Arc<dyn Object>> {
    fn component(&self, name: &str) -> Option<Arc<dyn Object>> {
        self.get(name).cloned()
    }
}

impl<S: BuildHasher + Send + Sync> Bot for HashMap<String, Arc<dyn Object>, S> {
    fn component(&self, name: &str) -> Option<Arc<dyn Object>> {
        self.get(name).cloned()
    }
}

/// A bot without components.
impl Bot for () {
    fn component(&self, _name: &str) -> Option<Arc<dyn Object>> {
        None
    }
}

/// Why a component was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// There is one of this name.
    #[error("component {0} is registered already; names are unique")]
    Taken(Box<str>),
    /// The name cannot be used in metrics, files and channels.
    #[error("component name {0:?} is not made of 1 to 64 letters, digits, '_', '-' and '.'")]
    Name(Box<str>),
    /// No channel was named.
    #[error("component {0} is registered for no channel")]
    NoChannels(Box<str>),
    /// It would never be called.
    #[error("component {name} has no method for {channels}; it needs {needs} or process_websocket_data")]
    NoMethod {
        /// The component.
        name: Box<str>,
        /// What it was registered for.
        channels: String,
        /// A method that would do.
        needs: String,
    },
}

/// A component under its name.
#[derive(Clone)]
pub struct Registered {
    /// Its name.
    pub name: Arc<str>,
    /// The component in its role.
    pub member: Arc<Member>,
}

/// See the module.
#[derive(Clone, Default)]
pub struct Registry(Vec<Registered>);

impl Registry {
    /// What is found on a bot, in the order of [`DISCOVERED`].
    pub fn discover(bot: &dyn Bot) -> Self {
        let found = |(name, role): (&str, Role)| {
            let member = Arc::new(Member::new(role, bot.component(name)?));
            Some(Registered { name: name.into(), member })
        };
        Registry(DISCOVERED.into_iter().filter_map(found).collect())
    }

    /// Adds a component.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub fn register(&mut self, name: &str, member: Member) -> Result<&Registered, RegistryError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if !(1..=NAME_BYTES).contains(&name.len()) || !name.bytes().all(is_plain) {
            return Err(RegistryError::Name(name.into()));
        }
        if self.find(name).is_some() {
            return Err(RegistryError::Taken(name.into()));
        }
        let Some(first) = member.channels().first() else {
            return Err(RegistryError::NoChannels(name.into()));
        };
        if member.channels().iter().all(|channel| member.method(channel).is_none()) {
            let channels: Vec<&str> = member.channels().iter().map(VenueChannel::name).collect();
            let (channels, needs) = (channels.join(", "), format!("on_{first}_update"));
            return Err(RegistryError::NoMethod { name: name.into(), channels, needs });
        }
        self.0.push(Registered { name: name.into(), member: Arc::new(member) });
        self.0.last().ok_or_else(|| RegistryError::Name(name.into()))
    }

    /// Adds an object for these channels, by their names; `orderbook` is `book`.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub fn register_additional_component(
        &mut self,
        name: &str,
        component: Arc<dyn Object>,
        channels: &[&str],
    ) -> Result<&Registered, RegistryError> {
        let channels = channels.iter().map(|channel| VenueChannel::named(channel)).collect();
        self.register(name, Member::of(Role::Custom, component, channels))
    }

    /// Takes a component out again.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|registered| *registered.name != *name);
    }

    /// The component of this name.
    pub fn find(&self, name: &str) -> Option<&Registered> {
        self.0.iter().find(|registered| *registered.name == *name)
    }

    /// All of them, in the order in which they were registered.
    pub fn iter(&self) -> impl Iterator<Item = &Registered> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::Component;
    use crate::roles::Methods;

    fn object(methods: &[&str]) -> Arc<dyn Object> {
        let with = |made: Methods, name: &&str| made.on(name, |_, _| async {});
        Arc::new(methods.iter().fold(Methods::new(), with))
    }

    #[test]
    fn the_nine_names_are_found_in_order_with_their_roles() {
        let all = |names: &[&str]| -> BTreeMap<String, Arc<dyn Object>> {
            names.iter().map(|name| (name.to_string(), object(&["process_websocket_data"]))).collect()
        };
        let names = DISCOVERED.map(|(name, _)| name);
        let registry = Registry::discover(&all(&names));
        assert_eq!(registry.iter().map(|found| &*found.name).collect::<Vec<_>>(), names);
        assert_eq!(registry.find("trade_executor").unwrap().member.role(), Role::TradingEngine);
        let some = Registry::discover(&all(&["learning_manager", "strategy_manager", "something_else"]));
        let found: Vec<_> = some.iter().map(|found| &*found.name).collect();
        assert_eq!(found, ["strategy_manager", "learning_manager"]);
        assert_eq!(Registry::discover(&()).iter().count(), 0);
    }

    #[test]
    fn a_component_is_added_for_channels_by_their_names() {
        let mut registry = Registry::default();
        let analyzer = object(&["on_book_update", "on_balances_update"]);
        let channels = ["ticker", "orderbook", "balances", "book"];
        let added = registry.register_additional_component("my_custom_analyzer", analyzer, &channels);
        let member = added.unwrap().member.clone();
        assert_eq!(member.channels(), ["ticker", "book", "balances"].map(VenueChannel::named));
        assert!(member.takes(&VenueChannel::Book) && !member.takes(&VenueChannel::Ticker));
        assert_eq!(member.method(&VenueChannel::Balances), Some("on_balances_update"));
    }

    #[test]
    fn what_cannot_be_registered_says_why() {
        let mut registry = Registry::default();
        let mut add = |name: &str, methods: &[&str], channels: &[&str]| {
            let added = registry.register_additional_component(name, object(methods), channels);
            added.map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(add("mine", &["on_ticker_update"], &["ticker"]), Ok(()));
        let taken = "component mine is registered already; names are unique";
        assert_eq!(add("mine", &["on_ticker_update"], &["ticker"]).unwrap_err(), taken);
        assert_eq!(
            add("other", &["on_ticker_update"], &["ohlc", "news"]).unwrap_err(),
            "component other has no method for ohlc, news; it needs on_ohlc_update or process_websocket_data"
        );
        let nothing = "component other is registered for no channel";
        assert_eq!(add("other", &["on_ticker_update"], &[]).unwrap_err(), nothing);
        for name in ["", "a b", "a/b", &"x".repeat(65)] {
            assert!(add(name, &["on_ticker_update"], &["ticker"]).unwrap_err().contains("is not made of"));
        }
        assert_eq!(add("other", &["on_news_update"], &["news"]), Ok(()));
    }
}
