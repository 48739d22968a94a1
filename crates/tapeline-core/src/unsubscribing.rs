//! Ending subscriptions: what another subscription of the session still covers stays as that one asked for it.

use crate::command::{Req, Wanted};
use crate::reply::{Reply, Topic};
use crate::shard::Shard;
use crate::target::Mode;

impl Shard {
    pub(crate) fn handle_unsubscribe(&mut self, slot: u32, wanted: Vec<Wanted>, req: &Req) {
        for wanted in wanted {
            let is_pattern = matches!(wanted, Wanted::Pattern(_));
            let (Wanted::Channel(name) | Wanted::Pattern(name)) = &wanted;
            let name = name.clone();
            let session = self.sessions.get(slot as usize);
            let known = session.and_then(|session| session.find_by_name(is_pattern, &name));
            if let Some(id) = known.map(|known| known.id) {
                self.end_subscription(slot, id);
                let reply = Reply::Unsubscribed { topic: Some((is_pattern, name)), req: req.clone() };
                self.reply_in_lane(slot, 0, &reply);
                continue;
            }
            // Nothing ends; a name that can be none is told so.
            match self.topic(&wanted) {
                Ok(_) => {
                    let reply = Reply::Unsubscribed { topic: Some((is_pattern, name)), req: req.clone() };
                    self.reply_in_lane(slot, 0, &reply);
                }
                Err(refusal) => self.reply_error(slot, refusal, Some(name), req),
            }
        }
    }

    pub(crate) fn handle_unsubscribe_all(&mut self, slot: u32, req: Req) {
        self.end_all(slot);
        self.reply_in_lane(slot, 0, &Reply::Unsubscribed { topic: None, req });
    }

    /// Ends all of a session's subscriptions.
    pub(crate) fn end_all(&mut self, slot: u32) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let ids: Vec<u32> = session.subscriptions.iter().map(|subscription| subscription.id).collect();
        for id in ids {
            self.end_subscription(slot, id);
        }
    }

    /// Ends one subscription; targets that others cover are served as those ask for it.
    pub(crate) fn end_subscription(&mut self, slot: u32, id: u32) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let Some(subscription) = session.forget_subscription(id) else { return };
        let topic = subscription.topic;
        self.hub.on_left(&topic, session.serial, &session.who);
        self.stats.subscriptions.sub(1);
        let spread = self.router.contract(&topic, slot, id);
        self.stop_hearing(&topic, spread);
        let entries = match &topic {
            Topic::Channel(channel) if !spread => self.router.find(channel).into_iter().collect(),
            _ => self.router.covered(&topic),
        };
        for entry in entries {
            self.uncover(entry, slot, id);
        }
    }

    pub(crate) fn uncover(&mut self, entry: u32, slot: u32, id: u32) {
        let Some(index) = self.sessions.get(slot as usize).and_then(|session| session.place(entry)) else {
            return;
        };
        let Some(target) = self.router.entry(entry).and_then(|entry| entry.targets.get_mut(index)) else {
            return;
        };
        target.covers.retain(|cover| *cover != id);
        let brought_others = target.overlap && target.mode == Mode::Every;
        let covers = target.covers.clone();
        if let Some(session) = self.sessions.get(slot as usize).filter(|_| brought_others) {
            self.router.settle_owed(entry, index, session);
        }
        if covers.is_empty() {
            self.router.remove(entry, slot, &mut self.sessions);
            self.router.close_if_empty(entry);
        } else {
            let Some(session) = self.sessions.get_mut(slot as usize) else { return };
            let mut covering = covers.iter().filter_map(|id| session.subscriptions.by_id(*id));
            let joining = covering.any(|known| known.joining);
            if let Some(known) = self.router.entry(entry) {
                known.reshape(index, entry, session);
            }
            if !joining {
                self.router.start_joining(entry, index, session);
            }
        }
        if brought_others {
            self.read_owed(slot);
        }
        self.pump(slot);
    }
}
