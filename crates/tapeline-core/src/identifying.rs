//! Who a session is, over its life: a token that comes as a message or renews another, the end of its time, what has
//! been revoked. Where its rights change, what it hears is weighed again (`weighing`).

use std::sync::Arc;

use tapeline_schema::{CloseCode, ErrorCode};

use crate::clock::Now;
use crate::command::{Command, Req};
use crate::error::Refusal;
use crate::incidents::IncidentKind;
use crate::note::Note;
use crate::registry::{Admission, Seat};
use crate::reply::{Reply, Topic};
use crate::rights::{Grant, Identity, who_is_it};
use crate::session::Session;
use crate::shard::{SWEEP_US, SessionKey, Shard};

/// Sessions are told a little apart that their tokens end, so that they do not all fetch new ones at once.
const NOTICE_SPREAD: u64 = 8;

/// An identity that has been checked, on its way to the session that asked.
pub struct Newcomer {
    key: SessionKey,
    identity: Arc<Identity>,
    req: Req,
}

/// How a connection is closed that could not say who it is: for good, unless that may be another time.
pub fn turning_away(code: ErrorCode) -> CloseCode {
    match code {
        ErrorCode::Degraded | ErrorCode::RateLimited | ErrorCode::Overloaded | ErrorCode::Internal => {
            CloseCode::Overloaded
        }
        _ => CloseCode::Policy,
    }
}

impl Session {
    /// Whether it may be this one from now on: who is somebody stays it.
    fn may_become(&self, identity: &Identity) -> Result<(), Refusal> {
        let known = self.grant.identity().filter(|known| !known.is_anonymous());
        match known.filter(|known| known.subject != identity.subject) {
            None => Ok(()),
            Some(known) => Err(Refusal::new(
                ErrorCode::InvalidToken,
                format!("the token is another's; this connection is {}'s", known.subject),
            )),
        }
    }
}

impl Shard {
    /// Whether the session may give this command before anybody knows who it is.
    pub(crate) fn admit_unknown(&self, slot: u32, command: &Command) -> Result<(), Refusal> {
        let is_unknown = |session: &Session| matches!(session.grant, Grant::Nobody);
        if !self.sessions.get(slot as usize).is_some_and(is_unknown) {
            return Ok(());
        }
        match command {
            Command::Token { .. } | Command::Ping { .. } => Ok(()),
            _ => Err(who_is_it()),
        }
    }

    /// A client says who it is, or that it still is.
    pub(crate) fn handle_token(&mut self, slot: u32, token: &str, req: Req) {
        let authority = self.hub.authority().clone();
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        if authority.is_off() {
            return self.reply_in_lane(slot, 0, &Reply::TokenOk { until_us: None, req });
        }
        session.in_flight += 1;
        let key = SessionKey { slot, serial: session.serial };
        let mailbox = self.mailbox.clone();
        let answer = move |checked| mailbox.post(Note::Identified(Box::new((key, req, checked))));
        authority.identify(token, &session.address, Box::new(answer));
    }

    /// The token has been checked.
    pub(crate) fn on_identified(
        &mut self,
        key: SessionKey,
        req: Req,
        checked: Result<Arc<Identity>, Refusal>,
    ) {
        self.on_answered(key, 1);
        let Some(session) = self.live(key) else { return };
        let checked = checked.and_then(|identity| {
            session.may_become(&identity)?;
            Ok(identity)
        });
        let identity = match checked {
            Ok(identity) => identity,
            Err(refusal) => {
                let (code, reason) = (turning_away(refusal.code), refusal.message.clone());
                let stays = session.grant.identity().is_some();
                self.reply_error(key.slot, refusal, None, &req);
                if !stays {
                    self.stats.closed_unidentified.bump(1);
                    self.close(key.slot, code, &reason);
                }
                return;
            }
        };
        let is_new = session.who.principal != identity.subject;
        let client = session.who.client.clone().filter(|_| is_new && session.seat.is_some());
        let newcomer = Newcomer { key, identity, req };
        let Some(client) = client else { return self.welcome(newcomer, None) };
        // Its seat was an unknown client's; limits are the subject's from now on.
        session.in_flight += 1;
        let limit = self.hub.settings().connections_per_client;
        let subject = newcomer.identity.subject.clone();
        let mailbox = self.mailbox.clone();
        let answer = move |admission| mailbox.post(Note::Seated(Box::new((newcomer, admission))));
        self.hub.registry().admit(&client, &subject, limit, Box::new(answer));
    }

    /// The registry has a seat for who a session turned out to be, or none.
    pub(crate) fn on_seated(&mut self, newcomer: Newcomer, admission: Admission) {
        let slot = newcomer.key.slot;
        self.on_answered(newcomer.key, 1);
        if self.live(newcomer.key).is_none() {
            return;
        }
        match admission {
            Admission::Granted(seat) => self.welcome(newcomer, Some(seat)),
            Admission::Refused(_) => {
                let limit = self.hub.settings().connections_per_client;
                let message = format!(
                    "{} connections, the limit is {limit} (limits.connections_per_client)",
                    limit + 1
                );
                self.reply_error(
                    slot,
                    Refusal::new(ErrorCode::LimitConnections, message),
                    None,
                    &newcomer.req,
                );
                self.close(slot, CloseCode::Policy, "Connection limit exceeded");
            }
        }
    }

    fn welcome(&mut self, newcomer: Newcomer, seat: Option<Seat>) {
        let Newcomer { key, identity, req } = newcomer;
        let Some(session) = self.live(key) else { return };
        // While a seat was asked for, another token may have come.
        if let Err(refusal) = session.may_become(&identity) {
            return self.reply_error(key.slot, refusal, None, &req);
        }
        if let Some(seat) = seat {
            for _ in &session.subscriptions {
                // They stood before; what is over the limit now is only counted.
                seat.pair().add_subscription(usize::MAX);
            }
            if let Some(before) = session.seat.replace(Box::new(seat)) {
                session.subscriptions.iter().for_each(|_| before.pair().drop_subscription());
            }
        }
        if session.who.principal != identity.subject {
            let before = session.rename(&identity.subject);
            let topics: Vec<Topic> = session.subscriptions.iter().map(|known| known.topic.clone()).collect();
            let (serial, now) = (session.serial, self.hub.now());
            for topic in &topics {
                self.hub.on_left(topic, serial, &before);
                let Some(session) = self.live(key) else { return };
                let hearing = session.hearing(now);
                self.hub.on_joined(topic, hearing);
            }
        }
        let Some(session) = self.live(key) else { return };
        let before = std::mem::replace(&mut session.grant, Grant::Known(identity.clone()));
        session.warned = false;
        session.identified += 1;
        session.unweighed = true;
        // Whose a channel is depends on the subject too.
        let is_same =
            |before: &Arc<Identity>| before.subject == identity.subject && before.rights == identity.rights;
        let same = before.identity().is_some_and(is_same);
        self.reply_in_lane(key.slot, 0, &Reply::TokenOk { until_us: identity.until_us, req });
        if !same {
            self.weigh_rights(key.slot);
        }
    }

    /// Once a second: who has not said who it is in time, whose time is over, who has been revoked. Answers whether the
    /// session is being closed.
    pub(crate) fn is_sent_away(&mut self, slot: u32, revoked: bool, now: Now) -> bool {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return true };
        let settings = self.hub.settings();
        let identity = match &session.grant {
            Grant::Anyone => return false,
            Grant::Known(identity) => identity,
            Grant::Nobody => {
                let waited = now.since(session.opened_us);
                if waited < settings.token_wait {
                    return false;
                }
                self.stats.closed_unidentified.bump(1);
                let reason = "no token came in time (auth.first_message_timeout_s)";
                return self.send_away(slot, CloseCode::Policy, "unidentified", reason);
            }
        };
        let looks = std::mem::take(&mut session.unweighed) || revoked;
        if looks && self.hub.authority().is_revoked(identity) {
            self.stats.closed_revoked.bump(1);
            let reason = "the token, or the key that it is believed by, was taken back";
            return self.send_away(slot, CloseCode::Revoked, "revoked", reason);
        }
        let Some(until_us) = identity.until_us else { return false };
        // Looked at again in a second: it does not outlive its token.
        if now.wall_us.saturating_add(SWEEP_US) > until_us {
            self.stats.closed_expired.bump(1);
            let reason = "the token expired; connect again with a new one";
            return self.send_away(slot, CloseCode::TokenExpired, "token_expired", reason);
        }
        let left_us = until_us - now.wall_us;
        let notice_us = crate::clock::micros(settings.token_notice);
        let notice_us = notice_us + notice_us / 8 * (session.serial % NOTICE_SPREAD) / NOTICE_SPREAD;
        if !session.warned && left_us <= notice_us {
            session.warned = true;
            self.reply_in_lane(slot, 0, &Reply::TokenExpiring { in_s: left_us / 1_000_000 });
        }
        false
    }

    fn send_away(&mut self, slot: u32, code: CloseCode, word: &'static str, reason: &str) -> bool {
        self.report(slot, IncidentKind::Closed, word, "", reason);
        self.close(slot, code, reason);
        true
    }
}
