//! Who is told of alerts: the log always, a hub's channel `alerts:{source}`, and whoever else wants to know. None of it
//! goes through the pipeline that the alert is about.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tapeline_core::Hub;
use tapeline_core::broker::Drafts;
use tapeline_core::command::Publication;
use tapeline_core::rights::Grant;
use tapeline_schema::events::{Alert, AlertState};

/// Alerts that wait for a hub at most; beyond them the oldest is given up, and logged.
const WAITING: usize = 256;
/// Who speaks.
const PRINCIPAL: &str = "pipeline";

/// Is told of each alert once when it is raised and once when it is resolved.
pub trait AlertSink: Send + Sync {
    /// Takes an alert; called on the monitor's thread, so it must not wait.
    fn tell(&self, alert: &Alert);

    /// Tries again to pass on what could not be; called at each look of the monitor.
    fn flush(&self) {}
}

impl<F: Fn(&Alert) + Send + Sync> AlertSink for F {
    fn tell(&self, alert: &Alert) {
        self(alert);
    }
}

/// A line of the log each.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAlerts;

impl AlertSink for LogAlerts {
    fn tell(&self, alert: &Alert) {
        let Alert { source, rule, value, threshold, .. } = alert;
        match alert.state {
            AlertState::Raised => {
                tracing::warn!(%source, %rule, value, threshold, "alert raised: {rule} is {value:.2}, the limit is {threshold}");
            }
            AlertState::Resolved => {
                tracing::info!(%source, %rule, value, threshold, "alert resolved: {rule} is {value:.2}");
            }
        }
    }
}

/// Publishes alerts to a hub in this process. What it has no room for now is offered again, in order.
pub struct HubAlerts {
    hub: Arc<Hub>,
    waiting: Mutex<VecDeque<Alert>>,
}

impl HubAlerts {
    /// Alerts of all sources go to this hub.
    pub fn new(hub: Arc<Hub>) -> Self {
        HubAlerts { hub, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Alert>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it need not be offered again.
    fn publish(&self, alert: &Alert) -> bool {
        let Ok(data) = serde_json::to_vec(alert) else { return true };
        let channel = format!("alerts:{}", alert.source);
        let publication = Publication { channel: &*channel, data: data.into(), ..Publication::default() };
        let principal: Arc<str> = PRINCIPAL.into();
        match self.hub.drafter(&principal, &Grant::Anyone, self.hub.now()).draft(publication, None) {
            Ok(draft) => self.hub.publish(Drafts::from_iter([draft]), None).is_ok(),
            Err(refusal) => {
                tracing::error!("the alert {} could not be published: {}", alert.rule, refusal.message);
                true
            }
        }
    }
}

impl AlertSink for HubAlerts {
    fn tell(&self, alert: &Alert) {
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING
            && let Some(lost) = waiting.pop_front()
        {
            tracing::error!("the hub takes no alerts; {} of {} was not published", lost.rule, lost.source);
        }
        waiting.push_back(alert.clone());
        drop(waiting);
        self.flush();
    }

    fn flush(&self) {
        let mut waiting = self.waiting();
        while waiting.front().is_some_and(|alert| self.publish(alert)) {
            waiting.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "alerts_tests.rs"]
mod tests;
