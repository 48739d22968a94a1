//! An object in its role, as a [`Component`]: for each of its channels the method to call, decided when it is made. It
//! transforms on the thread that calls it, which is the component's own.

use std::sync::Arc;

use tapeline_core::feed::{Update, VenueChannel};

use super::object::{Arguments, Object};
use super::plan::{self, Call, Key, Role, Shape};
use crate::component::{Component, Failure, Handling};
use crate::data::Data;
use crate::transform::{self, Transform};

/// See the module.
pub struct Member {
    object: Arc<dyn Object>,
    role: Role,
    channels: Vec<VenueChannel>,
    calls: Vec<Call>,
    transform: Option<Transform>,
}

impl Member {
    /// An object that gets what its role gets; a custom one gets what it has methods for.
    pub fn new(role: Role, object: Arc<dyn Object>) -> Self {
        let channels: Vec<VenueChannel> = role.channels().to_vec();
        let mut member = Self::of(role, object, channels);
        if role == Role::Custom {
            member.channels.retain(|channel| member.calls.iter().any(|call| call.channel == *channel));
        }
        member
    }

    /// An object that gets these channels, whatever its role usually gets.
    pub fn of(role: Role, object: Arc<dyn Object>, mut channels: Vec<VenueChannel>) -> Self {
        let mut seen = Vec::new();
        channels.retain(|channel| !seen.contains(channel) && (seen.push(channel.clone()), true).1);
        let calls = channels.iter().filter_map(|channel| plan::call(role, &*object, channel)).collect();
        Member { object, role, channels, calls, transform: None }
    }

    /// What its data goes through before each call, after it was given the form that the method takes.
    #[must_use]
    pub fn with_transform(mut self, transform: Transform) -> Self {
        self.transform = Some(transform);
        self
    }

    /// What it is for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What it is registered for, whether or not it has a method.
    pub fn channels(&self) -> &[VenueChannel] {
        &self.channels
    }

    /// The method that is called with updates of a channel.
    pub fn method(&self, channel: &VenueChannel) -> Option<&str> {
        self.call(channel).map(|call| &*call.method)
    }

    fn call(&self, channel: &VenueChannel) -> Option<&Call> {
        self.calls.iter().find(|call| call.channel == *channel)
    }

    fn data(&self, update: &Update, shape: Shape) -> Result<Data, Failure> {
        let data = match shape {
            Shape::AsSent => Data::new(update.data.clone()),
            Shape::ByAsset => transform::by_asset(&update.data).map_err(Failure::Message)?,
            Shape::List => transform::as_list(&update.data).map_err(Failure::Message)?,
        };
        match &self.transform {
            Some(transform) => transform.apply(update, data).map_err(Failure::Message),
            None => Ok(data),
        }
    }

    async fn take(&self, update: &Update) -> Result<(), Failure> {
        let Some(call) = self.call(&update.channel) else { return Ok(()) };
        let data = self.data(update, call.shape)?;
        let key = match call.key {
            Key::Symbol => update.symbol.as_deref().unwrap_or_default(),
            Key::Channel => update.channel.name(),
        };
        self.object.call(&call.method, Arguments { key, data: &data }).await
    }
}

impl Component for Member {
    fn takes(&self, channel: &VenueChannel) -> bool {
        self.call(channel).is_some()
    }

    fn handle<'a>(&'a self, update: &'a Arc<Update>) -> Handling<'a> {
        Box::pin(self.take(update))
    }
}
