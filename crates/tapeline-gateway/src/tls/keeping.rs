//! What is looked at while TLS is served: whether the files have changed, and how long the certificate still holds. Before
//! it ends an alert is raised on `alerts:tls`, once, and resolved once after a renewal.

use std::sync::Arc;
use std::time::Duration;

use tapeline_core::broker::{Drafts, NEWEST};
use tapeline_core::clock::rfc3339;
use tapeline_core::command::Publication;
use tapeline_core::rights::Grant;
use tapeline_core::{Hub, Now};
use tapeline_schema::events::{Alert, AlertState, Time};

use super::{DAY, Tls, rounded};
use crate::asking;
use crate::native::parse_time;

/// How often.
const LOOK: Duration = Duration::from_secs(5);
/// Who speaks.
const PRINCIPAL: &str = "hub";
/// The key of the channel.
const SOURCE: &str = "tls";
const RULE: &str = "certificate_expiry";

/// Whether the alert is on.
struct Alarm {
    /// Since when, in microseconds since 1970.
    since_us: Option<u64>,
}

/// Looks after the certificate until it is stopped; `alert_days` is asked each time.
pub async fn keep(tls: Arc<Tls>, hub: Arc<Hub>, alert_days: impl Fn() -> u32 + Send) {
    let mut alarm = Alarm { since_us: raised_before(&hub).await };
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let looked = tls.clone();
        // A panic there would be in the log.
        let _ = tokio::task::spawn_blocking(move || looked.look()).await;
        alarm.look(&hub, tls.seconds_left(), i64::from(alert_days()) * DAY);
    }
}

/// Since when an alert is on that was raised before this start, in case the broker has kept it.
async fn raised_before(hub: &Hub) -> Option<u64> {
    let channel = hub.channel(&format!("alerts:{SOURCE}")).ok()?;
    let page = asking::page(hub, &channel, NEWEST, 1).await.ok()?;
    let alert: Alert = serde_json::from_slice(&page.messages.first()?.data).ok()?;
    let is_on = alert.rule == RULE && alert.state == AlertState::Raised;
    match alert.since {
        Time::Text(since) if is_on => parse_time(&since).ok(),
        _ => None,
    }
}

impl Alarm {
    /// Raises or resolves the alert where that is due. What the hub does not take is tried again at the next look.
    fn look(&mut self, hub: &Hub, left: i64, threshold: i64) {
        let now = hub.now();
        let (state, since_us) = match (left < threshold, self.since_us) {
            (true, None) => (AlertState::Raised, now.wall_us),
            (false, Some(since_us)) => (AlertState::Resolved, since_us),
            _ => return,
        };
        if !publish(hub, state, (left, threshold), since_us, now) {
            return;
        }
        match state {
            AlertState::Raised => {
                self.since_us = Some(since_us);
                tracing::warn!(
                    "the certificate ends in {} (tls.expiry_alert_days is {}); renew the file of tls.certificate",
                    rounded(left),
                    threshold / DAY
                );
            }
            AlertState::Resolved => {
                self.since_us = None;
                tracing::info!("the certificate was renewed and holds for {}", rounded(left));
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn publish(hub: &Hub, state: AlertState, (left, threshold): (i64, i64), since_us: u64, now: Now) -> bool {
    let alert = Alert {
        source: SOURCE.to_string(),
        rule: RULE.to_string(),
        state,
        value: left as f64,
        threshold: threshold as f64,
        since: rfc3339(since_us).into(),
    };
    let Ok(data) = serde_json::to_vec(&alert) else { return false };
    let channel = format!("alerts:{SOURCE}");
    let publication = Publication { channel: &*channel, data: data.into(), ..Publication::default() };
    let from: Arc<str> = PRINCIPAL.into();
    match hub.drafter(&from, &Grant::Anyone, now).draft(publication, None) {
        Ok(draft) => hub.publish(Drafts::from_iter([draft]), None).is_ok(),
        Err(refusal) => {
            tracing::error!("the alert of the certificate's end could not be published: {}", refusal.message);
            false
        }
    }
}
