//! Publishing from the HTTP runtime: waits where there is no room, which a shard never does.

use tapeline_core::broker::Drafts;
use tapeline_core::command::Publication;
use tapeline_core::incidents::IncidentKind;
use tapeline_core::message::Draft;
use tapeline_core::{Channel, Deliver, Now, Receipt, Refusal};
use tapeline_schema::ErrorCode;
use tokio::sync::oneshot;

use crate::app::App;
use crate::caller::Caller;

/// What became of each publication, in order.
pub(crate) type Outcome = Result<Receipt, Refusal>;

impl App {
    /// Checks one publication and makes its draft.
    pub(crate) fn draft(
        &self,
        publication: Publication<&str>,
        caller: &Caller,
        now: Now,
    ) -> Result<Draft, Refusal> {
        self.hub.drafter(&caller.principal, &caller.grant, now).draft(publication, None)
    }

    /// Publishes one draft of this principal's.
    pub(crate) async fn publish_one(&self, draft: Draft, principal: &str) -> Outcome {
        let mut drafts = Drafts::new();
        drafts.push(draft);
        let outcomes = self.publish_slice(drafts, principal).await;
        outcomes.into_iter().next().unwrap_or_else(|| Err(lost()))
    }

    /// Publishes at most [`SLICE`](tapeline_core::broker::SLICE) drafts in order, as soon as there is room.
    pub(crate) async fn publish_slice(&self, drafts: Drafts, principal: &str) -> Vec<Outcome> {
        let owned =
            |(at, draft): (usize, &Draft)| draft.channel.takes_owner().then(|| (at, draft.channel.clone()));
        let owned: Vec<(usize, Channel)> = drafts.iter().enumerate().filter_map(owned).collect();
        let outcomes = self.publish_when_room(drafts).await;
        for (at, channel) in owned {
            // Only the broker knows whose a channel is, so nobody has been told of this yet.
            if let Some(Err(refusal)) = outcomes.get(at).filter(|outcome| is_conflict(outcome)) {
                self.report(IncidentKind::PublishRefused, principal, channel.name(), refusal);
            }
        }
        outcomes
    }

    async fn publish_when_room(&self, mut drafts: Drafts) -> Vec<Outcome> {
        let count = drafts.len();
        loop {
            let (answer, answered) = oneshot::channel();
            let receipts = Box::new(move |outcomes| {
                // The publisher may have gone away meanwhile.
                let _ = answer.send(outcomes);
            });
            match self.hub.publish(drafts, Some(receipts)) {
                Ok(()) => return answered.await.unwrap_or_else(|_| vec![Err(lost()); count]),
                Err(busy) => drafts = busy.drafts,
            }
            let (room, has_room) = oneshot::channel();
            self.shards.deliver().when_room(Box::new(move || {
                let _ = room.send(());
            }));
            let _ = has_room.await;
        }
    }
}

fn is_conflict(outcome: &Outcome) -> bool {
    outcome.as_ref().is_err_and(|refusal| refusal.code == ErrorCode::OwnerConflict)
}

fn lost() -> Refusal {
    Refusal::new(ErrorCode::Internal, "the message broker gave no answer")
}
