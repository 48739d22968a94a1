//! What a session publishes: from its command to the broker, and the broker's receipt back as an answer.

use smallvec::smallvec;

use crate::broker::{Busy, Drafts, Receipts};
use crate::channel::Channel;
use crate::clock::Now;
use crate::command::{Publication, Req};
use crate::error::Refusal;
use crate::incidents::IncidentKind;
use crate::message::Receipt;
use crate::reply::Reply;
use crate::shard::{Handled, Note, SessionKey, Shard};

impl Shard {
    pub(crate) fn handle_publish(
        &mut self,
        slot: u32,
        publication: Publication,
        req: Req,
        now: Now,
    ) -> Handled {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return Handled::Done };
        let draft = match self.hub.draft(publication, &session.who.principal, &session.grant, now) {
            Ok(draft) => draft,
            Err(refused) => {
                self.reply_refusal(slot, refused.refusal, Some(refused.channel), &req);
                return Handled::Done;
            }
        };
        let key = SessionKey { slot, serial: session.serial };
        // Whose the channel is may be refused by the broker alone, and is told however it was asked.
        let receipts = (req.is_some() || draft.channel.takes_owner()).then(|| {
            session.in_flight += 1;
            let (mailbox, channel) = (self.mailbox.clone(), draft.channel.clone());
            let receipts: Receipts = Box::new(move |results| {
                for result in results {
                    let published = (key, channel.clone(), req.clone(), result);
                    mailbox.post(Note::Published(Box::new(published)));
                }
            });
            receipts
        });
        self.publish(smallvec![draft], receipts)
    }

    /// Offers a publish again that found no room.
    pub fn retry(&mut self, busy: Busy) -> Handled {
        self.publish(busy.drafts, busy.receipts)
    }

    fn publish(&mut self, drafts: Drafts, receipts: Option<Receipts>) -> Handled {
        match self.hub.publish(drafts, receipts) {
            Ok(()) => Handled::Done,
            Err(busy) => Handled::Busy(busy),
        }
    }

    pub(crate) fn on_published(
        &mut self,
        key: SessionKey,
        channel: Channel,
        req: Req,
        result: Result<Receipt, Refusal>,
    ) {
        if self.live(key).is_none() {
            return;
        }
        self.on_answered(key, 1);
        match result {
            Ok(_) if req.is_none() => {}
            Ok(receipt) => {
                let subscribers = self.hub.subscribers(&channel);
                self.reply_in_lane(key.slot, 0, &Reply::Published { channel, receipt, subscribers, req });
            }
            Err(refusal) => {
                let (kind, code) = (IncidentKind::PublishRefused, refusal.code.name());
                self.report(key.slot, kind, code, channel.name(), &refusal.message);
                self.reply_refusal(key.slot, refusal, None, &req);
            }
        }
    }
}
