//! A component made of closures, each under the name of a method: what duck typing is in Python.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::object::{Arguments, Arity, Object};
use crate::component::{Failure, Handling};
use crate::data::Data;

type Running = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;
type Method = Box<dyn Fn(Arguments<'_>) -> Running + Send + Sync>;

/// What a method may answer: nothing, or whether it could.
pub trait Outcome {
    /// As the pipeline sees it.
    ///
    /// # Errors
    /// The method failed.
    fn outcome(self) -> Result<(), Failure>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Outcome for Result<(), Failure> {
    fn outcome(self) -> Result<(), Failure> {
        self
    }
}

/// See the module.
///
/// ```
/// use std::sync::Arc;
/// use tapeline_core::feed::VenueChannel;
/// use tapeline_pipeline::roles::{Member, Methods, Role};
///
/// let analyzer = Methods::new()
///     .on("on_ticker_update", |symbol, data| async move { println!("{symbol} {data}") })
///     .on_data("on_heartbeat_update", |_| async {});
/// let member = Member::new(Role::Custom, Arc::new(analyzer));
/// assert_eq!(member.method(&VenueChannel::Ticker), Some("on_ticker_update"));
/// assert_eq!(member.channels().len(), 2);
/// ```
#[derive(Default)]
pub struct Methods(BTreeMap<Box<str>, (Arity, Method)>);

impl Methods {
    /// Without any method.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a method that takes the symbol (or channel) and the data; one of the same name gives way.
    #[must_use]
    pub fn on<F, Fut>(self, name: &str, method: F) -> Self
    where
        F: Fn(Arc<str>, Data) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        let boxed: Method = Box::new(move |arguments| {
            let running = method(arguments.key.into(), arguments.data.clone());
            Box::pin(async move { running.await.outcome() })
        });
        self.with(name, Arity::KeyAndData, boxed)
    }

    /// Adds a method that takes the data alone.
    #[must_use]
    pub fn on_data<F, Fut>(self, name: &str, method: F) -> Self
    where
        F: Fn(Data) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        let boxed: Method = Box::new(move |arguments| {
            let running = method(arguments.data.clone());
            Box::pin(async move { running.await.outcome() })
        });
        self.with(name, Arity::Data, boxed)
    }

    fn with(mut self, name: &str, arity: Arity, method: Method) -> Self {
        self.0.insert(name.into(), (arity, method));
        self
    }
}

impl Object for Methods {
    fn method(&self, name: &str) -> Option<Arity> {
        self.0.get(name).map(|(arity, _)| *arity)
    }

    fn call<'a>(&'a self, method: &'a str, arguments: Arguments<'a>) -> Handling<'a> {
        match self.0.get(method) {
            Some((_, called)) => called(arguments),
            None => Box::pin(std::future::ready(Err(Failure::Permanent(format!("no method {method}"))))),
        }
    }
}
