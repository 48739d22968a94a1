//! History and last values for one client: kept messages, read from the broker and answered in one reply.

use tapeline_schema::ErrorCode;

use crate::broker::{NEWEST, Page};
use crate::channel::Channel;
use crate::command::{Req, Since};
use crate::error::Refusal;
use crate::reply::{Reply, Topic};
use crate::rights::learn_owner;
use crate::shard::{IN_FLIGHT, Note, SessionKey, Shard};

/// What a client asked of a channel's kept messages.
pub struct KeptRequest {
    channel: Channel,
    /// `None` asks for the newest message.
    since: Option<Since>,
    newest: bool,
    limit: usize,
    req: Req,
}

struct KeptAsk {
    since: Option<Since>,
    newest: bool,
    after: u64,
    limit: usize,
}

impl Shard {
    pub(crate) fn handle_history(
        &mut self,
        slot: u32,
        name: &str,
        since: Option<Since>,
        limit: Option<usize>,
        req: Req,
    ) {
        let limit = limit.unwrap_or(100).clamp(1, 1_000);
        let after = since.as_ref().map_or(0, |since| since.offset);
        self.read_kept(slot, name, KeptAsk { since, newest: false, after, limit }, req);
    }

    pub(crate) fn handle_last(&mut self, slot: u32, name: &str, req: Req) {
        self.read_kept(slot, name, KeptAsk { since: None, newest: true, after: NEWEST, limit: 1 }, req);
    }

    fn read_kept(&mut self, slot: u32, name: &str, ask: KeptAsk, req: Req) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let allowed = self.hub.channel(name).and_then(|channel| {
            self.hub.may_subscribe(&session.grant, &Topic::Channel(channel.clone()))?;
            if channel.is_roll_up() && !channel.counts_for_itself() && !ask.newest {
                let message = format!("{name} is a roll-up of last values and has no history");
                return Err(Refusal::new(ErrorCode::NoHistory, message));
            }
            Ok(channel)
        });
        let channel = match allowed {
            Ok(channel) => channel,
            Err(refusal) => return self.reply_error(slot, refusal, Some(name.into()), &req),
        };
        session.in_flight += IN_FLIGHT;
        let key = SessionKey { slot, serial: session.serial };
        let unknown = self.hub.owner_to_learn(&session.grant, &channel);
        let mailbox = self.mailbox.clone();
        let request = KeptRequest {
            channel: channel.clone(),
            since: ask.since,
            newest: ask.newest,
            limit: ask.limit,
            req,
        };
        let broker = self.hub.broker().clone();
        let asked = broker.clone();
        let answer = Box::new(move |page| {
            let next = move || mailbox.post(Note::Kept(Box::new((key, request, page))));
            learn_owner(&asked, unknown, next);
        });
        broker.read(&channel, ask.after, ask.limit, answer);
    }

    pub(crate) fn on_kept(&mut self, key: SessionKey, request: KeptRequest, page: Page) {
        let bound = self.hub.settings().outbox_bytes;
        self.on_answered(key, IN_FLIGHT);
        let Some(session) = self.live(key) else { return };
        let KeptRequest { channel, since, newest, limit, req } = request;
        let stale = since.is_some_and(|since| since.epoch.is_some_and(|epoch| *epoch != *page.head.epoch));
        if stale {
            // Offsets of another epoch mean nothing here: everything kept is news.
            let ask = KeptAsk { since: None, newest, after: 0, limit };
            return self.read_kept(key.slot, channel.name(), ask, req);
        }
        let grant = session.grant.clone();
        // Whose the channel is may only be known now.
        if let Err(refusal) = self.hub.may_read(&grant, &channel) {
            return self.reply_error(key.slot, refusal, Some(channel.name().into()), &req);
        }
        let lane = channel.lane();
        let reply = if newest {
            Reply::Last { channel, message: page.messages.into_iter().next(), req }
        } else {
            let mut room = bound;
            let mut messages = page.messages;
            messages.truncate(
                messages.iter().take_while(|message| take_room(&mut room, message.weight())).count().max(1),
            );
            let last = messages.last().and_then(|message| message.offset_in(&channel));
            let next = last.filter(|last| *last < page.head.top);
            Reply::History { channel, epoch: page.head.epoch, messages, next, req }
        };
        self.reply_in_lane(key.slot, lane, &reply);
    }
}

fn take_room(room: &mut usize, weight: usize) -> bool {
    let fits = weight <= *room;
    *room = room.saturating_sub(weight);
    fits
}
