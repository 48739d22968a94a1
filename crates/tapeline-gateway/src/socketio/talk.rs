//! One client's side of Socket.IO, whatever transport brings it: joining, events as commands, attachments, the time within
//! which it has to join. It knows no frames and no HTTP; it outlives a change of transport.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_codec::socketio::{Kind, MAIN, Packet, check_placeholders, event};
use tapeline_codec::websocket::encoder::text_frame;
use tapeline_core::broker::Busy;
use tapeline_core::command::{Req, SubscribeOptions, Wanted};
use tapeline_core::shard::Handled;
use tapeline_core::{Command, Grant, Refusal};
use tapeline_runtime::Port;
use tapeline_schema::ErrorCode;

use super::commands;
use super::mark::Mark;
use super::settings::Set;
use super::sid;
use super::wire::push_joined;
use crate::form;
use crate::native::{Text, read_places};

/// What came of a packet.
pub(super) enum Step {
    /// The next one may come.
    Next,
    /// A publish found no room.
    Busy(Box<Busy>),
    /// The client broke the protocol; the connection is closed.
    Broken(String),
}

/// What is said inside the messages of Engine.IO.
pub(super) trait Speech: Send {
    /// A text message.
    fn text(&mut self, text: &str, port: &mut Port<'_>) -> Step;
    /// A binary message.
    fn binary(&mut self, bytes: &[u8], port: &mut Port<'_>) -> Step;
    /// Whether an answer must come before anything else is read.
    fn waits(&mut self, _port: &mut Port<'_>) -> bool {
        false
    }
    /// Whether attachments are still to come.
    fn is_unfinished(&self) -> bool {
        false
    }
    /// The client lives.
    fn pulse(&mut self, _port: &mut Port<'_>) -> Step {
        Step::Next
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has not joined.
    Waiting,
    /// Its token is being checked; so many of it were taken before.
    Checking { identified: u64 },
    /// It hears and is heard.
    Joined,
    /// It has left again; it may come back.
    Left,
}

/// A packet whose attachments are still to come. They are counted, and neither is kept: nothing takes them.
struct Pending {
    is_event: bool,
    ack: Option<u64>,
    left: u32,
}

/// What a client says when it joins.
#[derive(Default, Deserialize)]
struct Auth<'a> {
    #[serde(borrow)]
    token: Option<Text<'a>>,
    headers: Option<bool>,
    /// Its places in what everybody hears.
    #[serde(borrow)]
    since: Option<&'a RawValue>,
}

/// See the module.
pub(super) struct Talk {
    set: Arc<Set>,
    stage: Stage,
    /// Events carry a header beside the data.
    headers: bool,
    /// It has subscribed something itself.
    subscribed: bool,
    /// Where it goes on in what everybody hears.
    places: SubscribeOptions,
    pending: Option<Pending>,
    frame_bytes: usize,
    /// When it came, as a monotonic reading.
    opened_us: u64,
}

impl Talk {
    pub(super) fn new(set: Arc<Set>, headers: bool, frame_bytes: usize, opened_us: u64) -> Self {
        let (stage, places) = (Stage::Waiting, SubscribeOptions::default());
        Talk { set, stage, headers, subscribed: false, places, pending: None, frame_bytes, opened_us }
    }

    fn speak(&self, port: &mut Port<'_>) {
        port.speak(self.set.wires.pick(self.headers, !self.subscribed));
    }

    fn packet(&mut self, text: &str, port: &mut Port<'_>) -> Step {
        let packet = match Packet::head(text) {
            Ok(packet) => packet,
            Err(broken) => return Step::Broken(broken.to_string()),
        };
        let too_large = self.too_large(&packet, text.len());
        if too_large.is_none()
            && let Err(broken) = packet.check()
        {
            return Step::Broken(broken.to_string());
        }
        let is_joined = packet.namespace == MAIN && self.stage == Stage::Joined;
        match packet.kind {
            Kind::Connect if packet.namespace != MAIN => {
                let unknown = || Refusal::new(ErrorCode::NotFound, "Invalid namespace");
                refuse(too_large.unwrap_or_else(unknown), &Mark::elsewhere(packet.namespace), port)
            }
            Kind::Connect if !is_joined => match too_large {
                Some(refusal) => refuse(refusal, &Mark::connect(""), port),
                None => self.connect(packet.payload, port),
            },
            Kind::Disconnect if is_joined => {
                self.stage = Stage::Left;
                self.subscribed = false;
                port.handle(Command::UnsubscribeAll { req: Mark::quiet() });
                self.speak(port);
                Step::Next
            }
            Kind::BinaryEvent | Kind::BinaryAck if is_joined && packet.attachments > 0 => {
                self.begin(&packet, too_large.is_some())
            }
            Kind::Ack | Kind::BinaryAck if is_joined => ignore(port),
            Kind::Event | Kind::BinaryEvent if is_joined => match too_large {
                Some(refusal) => refuse(refusal, &Mark::ack(packet.ack), port),
                None => self.event(&packet, port),
            },
            _ => Step::Broken("a packet of a namespace that is not joined, or is already".to_string()),
        }
    }

    /// What is said of a packet that is larger than its kind may be, and is read no further.
    fn too_large(&self, packet: &Packet<'_>, bytes: usize) -> Option<Refusal> {
        let may_be = match packet.kind {
            Kind::Event => commands::publishes(packet.payload.unwrap_or_default()),
            // These carry nothing.
            Kind::Disconnect | Kind::ConnectError => true,
            _ => false,
        };
        let limit = self.frame_bytes;
        let message = || format!("packet is {bytes} bytes, the limit is {limit} (limits.frame_bytes)");
        (bytes > limit && !may_be).then(|| Refusal::new(ErrorCode::TooLarge, message()))
    }

    /// Attachments follow. `unread`: the packet itself is too large to be looked at.
    fn begin(&mut self, packet: &Packet<'_>, unread: bool) -> Step {
        let payload = packet.payload.unwrap_or_default();
        let is_event = packet.kind == Kind::BinaryEvent;
        let read = || {
            check_placeholders(payload, packet.attachments)?;
            if is_event { event(payload).map(drop) } else { Ok(()) }
        };
        if !unread && let Err(broken) = read() {
            return Step::Broken(broken.to_string());
        }
        self.pending = Some(Pending { is_event, ack: packet.ack, left: packet.attachments });
        Step::Next
    }

    fn connect(&mut self, payload: Option<&str>, port: &mut Port<'_>) -> Step {
        let auth: Auth<'_> = match payload.map(form::object).transpose() {
            Ok(auth) => auth.unwrap_or_default(),
            Err(refusal) => return refuse(refusal, &Mark::connect(""), port),
        };
        self.places = SubscribeOptions::default();
        if let Some(since) = auth.since
            && let Err(refusal) = read_places(since.get(), &mut self.places)
        {
            return refuse(refusal, &Mark::connect(""), port);
        }
        self.headers |= auth.headers.unwrap_or_default();
        // Who goes on somewhere is told what it missed.
        self.subscribed |= auth.since.is_some();
        self.speak(port);
        match (auth.token, port.grant()) {
            // It may have said who it is at the handshake: then this must be the same.
            (Some(token), Grant::Known(_) | Grant::Nobody) => {
                self.stage = Stage::Checking { identified: port.identified() };
                port.handle(Command::Token { token: token.boxed(), req: Mark::connect(&sid::socket()) });
                return Step::Next;
            }
            (None, Grant::Nobody) => {
                let message = "a token is missing; send it as auth: { token }";
                let refusal = Refusal::new(ErrorCode::InvalidToken, message);
                return refuse(refusal, &Mark::connect(""), port);
            }
            _ => {}
        }
        let mut out = Vec::new();
        push_joined(&mut out, MAIN, &sid::socket());
        port.send(&text_frame(&out));
        self.joined(port);
        Step::Next
    }

    /// From now on it hears what everybody hears.
    fn joined(&mut self, port: &mut Port<'_>) {
        self.stage = Stage::Joined;
        let mut places = std::mem::take(&mut self.places);
        let mut others = Vec::new();
        for name in &self.set.everybody {
            let wanted = Wanted::Channel(name.clone());
            match places.since_each.iter().position(|(known, _)| known == name) {
                Some(at) => {
                    let since = Some(places.since_each.swap_remove(at).1);
                    let options = Box::new(SubscribeOptions { since, ..SubscribeOptions::default() });
                    port.handle(Command::Subscribe { wanted: vec![wanted], options, req: Mark::quiet() });
                }
                None => others.push(wanted),
            }
        }
        if !others.is_empty() {
            // Places in sources of roll-ups, where it has some.
            let options = Box::new(places);
            port.handle(Command::Subscribe { wanted: others, options, req: Mark::quiet() });
        }
    }

    fn event(&mut self, packet: &Packet<'_>, port: &mut Port<'_>) -> Step {
        let event = match event(packet.payload.unwrap_or_default()) {
            Ok(event) => event,
            Err(broken) => return Step::Broken(broken.to_string()),
        };
        let req = Mark::ack(packet.ack);
        let command = match commands::command(&event, false, req.clone()) {
            Ok(command) => command,
            Err(refusal) => return refuse(refusal, &req, port),
        };
        if matches!(command, Command::Subscribe { .. }) && !self.subscribed {
            self.subscribed = true;
            self.speak(port);
        }
        let command = one_answer(command, packet.ack, port);
        match port.handle(command) {
            Handled::Done => Step::Next,
            Handled::Busy(busy) => Step::Busy(busy),
        }
    }
}

/// An acknowledgement is given once: where several channels are named, it says only that, and each is told as an event.
fn one_answer(command: Command, ack: Option<u64>, port: &mut Port<'_>) -> Command {
    let (count, Some(ack)) = (commands::count(&command), ack) else { return command };
    if count == 1 {
        return command;
    }
    let answer = format!("43{ack}[{{\"type\":\"accepted\",\"channels\":{count}}}]");
    port.send(&text_frame(answer.as_bytes()));
    match command {
        Command::Subscribe { wanted, options, .. } => Command::Subscribe { wanted, options, req: None },
        Command::Unsubscribe { wanted, .. } => Command::Unsubscribe { wanted, req: None },
        other => other,
    }
}

/// Every refusal counts as a request.
fn refuse(refusal: Refusal, req: &Req, port: &mut Port<'_>) -> Step {
    port.refuse(refusal, None, req);
    Step::Next
}

/// The hub asks for no answers: one counts as a request, and is nothing.
fn ignore(port: &mut Port<'_>) -> Step {
    port.handle(Command::Ping { req: Mark::quiet() });
    Step::Next
}

impl Speech for Talk {
    fn text(&mut self, text: &str, port: &mut Port<'_>) -> Step {
        if self.pending.is_some() {
            return Step::Broken("text where an attachment must come".to_string());
        }
        self.packet(text, port)
    }

    fn binary(&mut self, _bytes: &[u8], port: &mut Port<'_>) -> Step {
        let Some(mut pending) = self.pending.take() else {
            return Step::Broken("an attachment that belongs to nothing".to_string());
        };
        pending.left -= 1;
        match (pending.left, pending.is_event) {
            (0, true) => refuse(commands::attached(), &Mark::ack(pending.ack), port),
            (0, false) => ignore(port),
            _ => {
                self.pending = Some(pending);
                Step::Next
            }
        }
    }

    fn waits(&mut self, port: &mut Port<'_>) -> bool {
        let Stage::Checking { identified } = self.stage else { return false };
        if port.in_flight() > 0 {
            return true;
        }
        // The wire has said which it is.
        match port.identified() > identified {
            true => self.joined(port),
            false => self.stage = Stage::Waiting,
        }
        false
    }

    fn is_unfinished(&self) -> bool {
        self.pending.is_some()
    }

    fn pulse(&mut self, port: &mut Port<'_>) -> Step {
        let waited = port.now().since(self.opened_us);
        if self.stage == Stage::Waiting && waited >= self.set.connect_timeout {
            return Step::Broken("no namespace was joined in time (socketio.connect_timeout_s)".to_string());
        }
        Step::Next
    }
}
