//! A pipeline with the components of a bot: discovered, registered by hand, and the callbacks that it had before. It
//! does not know modes, nor who watches.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tapeline_core::feed::{Update, VenueChannel};

use crate::callbacks::Callback;
use crate::pipeline::{ComponentOptions, Pipeline, PipelineError};
use crate::registry::{Bot, Registered, Registry, RegistryError};
use crate::roles::{Member, Object, Outcome};

/// Why something was not set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A component cannot be registered.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The pipeline does not take it.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// There is a pipeline already.
    #[error("it is initialized already, in {0} mode; restart it, or stop it first")]
    Twice(&'static str),
    /// There is no pipeline yet.
    #[error("it is not initialized yet")]
    NotYet,
}

/// See the module (`init.integrator` in the document).
pub struct Integrator {
    pipeline: Arc<Pipeline>,
    registry: Mutex<Registry>,
    callbacks: Mutex<BTreeMap<String, Arc<Callback>>>,
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Integrator {
    /// Registers what is found on a bot.
    ///
    /// # Errors
    /// The pipeline is stopped, or the system has no thread left.
    pub fn discover(pipeline: Arc<Pipeline>, bot: &dyn Bot) -> Result<Self, SetupError> {
        let registry = Registry::discover(bot);
        for registered in registry.iter() {
            let Registered { name, member } = registered;
            if member.channels().iter().all(|channel| member.method(channel).is_none()) {
                let role = member.role().name();
                tracing::warn!(component = %name, role, "the component has no method of its role, so it gets nothing");
            }
            run(&pipeline, registered, ComponentOptions::default())?;
        }
        Ok(Integrator { pipeline, registry: Mutex::new(registry), callbacks: Mutex::default() })
    }

    /// The pipeline itself.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// Adds any object for these channels, by their names; `orderbook` is `book`.
    ///
    /// # Errors
    /// See [`RegistryError`] and [`PipelineError`].
    pub fn register_additional_component(
        &self,
        name: &str,
        component: Arc<dyn Object>,
        channels: &[&str],
    ) -> Result<(), SetupError> {
        let channels = channels.iter().map(|channel| VenueChannel::named(channel)).collect();
        let member = Member::of(crate::roles::Role::Custom, component, channels);
        self.register(name, member, ComponentOptions::default())
    }

    /// Adds a component in its role, with numbers of its own.
    ///
    /// # Errors
    /// See [`RegistryError`] and [`PipelineError`].
    pub fn register(&self, name: &str, member: Member, options: ComponentOptions) -> Result<(), SetupError> {
        let mut registry = locked(&self.registry);
        let registered = registry.register(name, member)?.clone();
        run(&self.pipeline, &registered, options).inspect_err(|_| registry.remove(name))
    }

    /// Takes a component out; see [`Pipeline::unregister`].
    ///
    /// # Errors
    /// There is no such component.
    pub fn unregister(&self, name: &str) -> Result<(), SetupError> {
        let mut registry = locked(&self.registry);
        self.pipeline.unregister(name)?;
        registry.remove(name);
        Ok(())
    }

    /// The components, without callbacks and the monitor.
    pub fn components(&self) -> Vec<Registered> {
        locked(&self.registry).iter().cloned().collect()
    }

    /// Calls this with every update of a channel that the pipeline has taken, in order, on a thread of its own; in place
    /// of what was called before. It is counted as the component `callback.{channel}`.
    ///
    /// # Errors
    /// The pipeline is stopped, or the system has no thread left.
    pub fn set_callback<F, Fut>(&self, channel: &str, callback: F) -> Result<(), SetupError>
    where
        F: Fn(Arc<Update>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        let channel = VenueChannel::named(channel);
        let name = Callback::name_of(&channel);
        let mut callbacks = locked(&self.callbacks);
        if let Some(known) = callbacks.get(&name) {
            known.set(callback);
            return Ok(());
        }
        let new = Arc::new(Callback::new(channel.clone()));
        new.set(callback);
        self.pipeline.register(&name, new.clone(), &[channel], ComponentOptions::default())?;
        callbacks.insert(name, new);
        Ok(())
    }
}

fn run(pipeline: &Pipeline, registered: &Registered, options: ComponentOptions) -> Result<(), SetupError> {
    let Registered { name, member } = registered;
    Ok(pipeline.register(name, member.clone(), member.channels(), options)?)
}
