//! The task that sends what training runs have said, one after the other. States and errors of a run wait for a hub that is
//! away; the rest is given up when the bus gives it up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tapeline_schema::Retry;

use super::outgoing::{Item, Outgoing};
use super::records::{self, Refreshes};
use crate::base_channel::BaseChannel;
use crate::error::Error;

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends until the channel's last clone is gone and nothing waits.
pub(super) async fn run(base: BaseChannel, queue: Arc<Outgoing>) {
    let mut refreshes = Refreshes::default();
    while let Some(mut item) = queue.next().await {
        let outcome = persist(&base, &mut item, &mut refreshes).await;
        if let Err(error) = &outcome {
            let (experiment, kind) = (&*item.experiment, item.kind.name());
            tracing::warn!(%error, experiment, kind, "not published");
        }
        queue.settle(item, &outcome);
    }
}

/// Tries for as long as it is worth it.
async fn persist(base: &BaseChannel, item: &mut Item, refreshes: &mut Refreshes) -> Result<(), Error> {
    loop {
        let outcome = send(base, item, refreshes).await;
        let may_be_lost = item.kind.may_be_lost();
        let is_worth_it = |error: &Error| error.retry() != Retry::Never && !may_be_lost;
        match outcome {
            Err(error) if is_worth_it(&error) => {
                tracing::debug!(%error, experiment = &*item.experiment, "trying again");
                tokio::time::sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

/// The key makes the hub take an item once, however often it is sent within its five minutes; what is known to be taken is
/// not sent again.
async fn send(base: &BaseChannel, item: &mut Item, refreshes: &mut Refreshes) -> Result<(), Error> {
    let id = match &item.published {
        Some(id) => id.clone(),
        None => {
            let channel = base.channel(item.kind.name(), &item.experiment);
            let publish = base.bus().publish_json(channel, item.data.as_str());
            let published = publish.idempotency_key(item.key.as_str()).await?;
            item.published.insert(published.id).clone()
        }
    };
    let now = Instant::now();
    if let Some(config) = &item.config {
        records::write(base, &item.experiment, config, id).await?;
        refreshes.note(&item.experiment, now);
    } else if refreshes.is_due(&item.experiment, now) {
        // A record that ends early is no reason to say the message was not taken.
        match records::refresh(base, &item.experiment).await {
            Ok(()) => refreshes.note(&item.experiment, now),
            Err(error) => {
                tracing::warn!(%error, experiment = &*item.experiment, "record not kept for longer");
                // Each attempt may take as long as a request; what is said must not wait for that every time.
                refreshes.note_failure(&item.experiment, Instant::now());
            }
        }
    }
    Ok(())
}
