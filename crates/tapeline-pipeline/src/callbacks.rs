//! The callbacks that a bot had before it had a pipeline: one a channel, set at any time, called with what the pipeline
//! has taken, in order, whatever becomes of it elsewhere. Each channel's is a component of its own, so a callback that is
//! slow or panics costs nobody and is counted.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tapeline_core::feed::{Update, VenueChannel};

use crate::component::{Component, Failure, Handling};
use crate::roles::Outcome;

type Running = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;
type Called = Arc<dyn Fn(Arc<Update>) -> Running + Send + Sync>;

/// The callback of one channel, as a component.
pub struct Callback {
    channel: VenueChannel,
    called: Mutex<Option<Called>>,
}

impl Callback {
    /// Nothing is called until [`Callback::set`].
    pub fn new(channel: VenueChannel) -> Self {
        Callback { channel, called: Mutex::default() }
    }

    /// The component's name: `callback.ticker`.
    pub fn name_of(channel: &VenueChannel) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' };
        format!("callback.{}", channel.name().chars().map(plain).collect::<String>())
    }

    /// Calls this from the next update on, in place of what was called before.
    pub fn set<F, Fut>(&self, callback: F)
    where
        F: Fn(Arc<Update>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        let called: Called = Arc::new(move |update| {
            let running = callback(update);
            Box::pin(async move { running.await.outcome() })
        });
        *self.called.lock().unwrap_or_else(PoisonError::into_inner) = Some(called);
    }
}

impl Component for Callback {
    fn takes(&self, channel: &VenueChannel) -> bool {
        *channel == self.channel
    }

    fn handle<'a>(&'a self, update: &'a Arc<Update>) -> Handling<'a> {
        let called = self.called.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match called {
            Some(called) => called(update.clone()),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }
}
