//! What the protocols' own suites talk to, in conformance mode only: an echo of Engine.IO messages, and a small application
//! that sends events back. Nothing of the hub is behind it.

use std::time::Duration;

use tapeline_codec::socketio::{Kind, MAIN, Packet, check_placeholders, event, push_head};
use tapeline_codec::websocket::encoder::{binary_frame, text_frame};
use tapeline_runtime::Port;

use super::sid;
use super::talk::{Speech, Step};
use super::wire::{push_joined, push_not_joined};

/// The namespaces that the suite joins.
const NAMESPACES: [&str; 2] = [MAIN, "/custom"];

/// Far longer than a suite takes to look again.
const APART: Duration = Duration::from_millis(10);

/// Sends back what it hears.
pub(super) struct Echo;

impl Speech for Echo {
    fn text(&mut self, text: &str, port: &mut Port<'_>) -> Step {
        port.send(&text_frame(format!("4{text}").as_bytes()));
        Step::Next
    }

    fn binary(&mut self, bytes: &[u8], port: &mut Port<'_>) -> Step {
        port.send(&binary_frame(bytes));
        Step::Next
    }
}

/// The application that the Socket.IO suite asks for.
#[derive(Default)]
pub(super) struct Suite {
    joined: [bool; 2],
    /// A packet, how many attachments it has, and those that have come.
    pending: Option<(String, usize, Vec<Vec<u8>>)>,
}

impl Suite {
    fn packet(&mut self, text: &str, attachments: Option<Vec<Vec<u8>>>, port: &mut Port<'_>) -> Step {
        let packet = match Packet::parse(text) {
            Ok(packet) => packet,
            Err(broken) => return Step::Broken(broken.to_string()),
        };
        if packet.attachments > 0 && attachments.is_none() {
            let payload = packet.payload.unwrap_or_default();
            if let Err(broken) = check_placeholders(payload, packet.attachments) {
                return Step::Broken(broken.to_string());
            }
            self.pending = Some((text.to_string(), packet.attachments as usize, Vec::new()));
            return Step::Next;
        }
        let at = NAMESPACES.iter().position(|known| *known == packet.namespace);
        let joined = at.and_then(|at| self.joined.get_mut(at));
        match (packet.kind, joined) {
            (Kind::Connect, None) => {
                let mut out = Vec::new();
                push_not_joined(&mut out, packet.namespace, "Invalid namespace", None);
                port.send(&text_frame(&out));
                Step::Next
            }
            (Kind::Connect, Some(joined)) if !*joined => {
                *joined = true;
                let mut out = Vec::new();
                push_joined(&mut out, packet.namespace, &sid::socket());
                port.send(&text_frame(&out));
                let mut out = Vec::new();
                push_head(&mut out, Kind::Event, 0, packet.namespace, None);
                out.extend_from_slice(format!("[\"auth\",{}]", packet.payload.unwrap_or("{}")).as_bytes());
                send_apart(text_frame(&out), port);
                Step::Next
            }
            (Kind::Disconnect, Some(joined)) if *joined => {
                *joined = false;
                Step::Next
            }
            (Kind::Event | Kind::BinaryEvent, Some(joined)) if *joined => {
                back(&packet, &attachments.unwrap_or_default(), port)
            }
            (Kind::Ack | Kind::BinaryAck, Some(joined)) if *joined => Step::Next,
            _ => Step::Broken("a packet of a namespace that is not joined, or is already".to_string()),
        }
    }
}

/// Sends a frame a moment later. The suite looks for the next message only when it has seen the one before, and misses
/// what comes in one piece with that.
fn send_apart(frame: Vec<u8>, port: &mut Port<'_>) {
    let turn = port.turn();
    let later = port.later(turn);
    let answer = move || {
        std::thread::sleep(APART);
        later.answer(frame);
    };
    // Without a thread the suite fails, which says it all.
    let _ = tapeline_runtime::spawn("suite", answer);
}

/// Sends an event's arguments back as the suite asks for.
fn back(packet: &Packet<'_>, attachments: &[Vec<u8>], port: &mut Port<'_>) -> Step {
    let event = match event(packet.payload.unwrap_or_default()) {
        Ok(event) => event,
        Err(broken) => return Step::Broken(broken.to_string()),
    };
    let mut arguments: Vec<&str> = event.arguments.iter().map(|raw| raw.get()).collect();
    let is_binary = packet.kind == Kind::BinaryEvent;
    let (kind, ack) = match (&*event.name, packet.ack) {
        ("message", None) => {
            arguments.insert(0, "\"message-back\"");
            (if is_binary { Kind::BinaryEvent } else { Kind::Event }, None)
        }
        ("message-with-ack", Some(ack)) => (if is_binary { Kind::BinaryAck } else { Kind::Ack }, Some(ack)),
        _ => return Step::Next,
    };
    let mut out = Vec::new();
    push_head(&mut out, kind, attachments.len(), packet.namespace, ack);
    out.extend_from_slice(format!("[{}]", arguments.join(",")).as_bytes());
    port.send(&text_frame(&out));
    for attachment in attachments {
        port.send(&binary_frame(attachment));
    }
    Step::Next
}

impl Speech for Suite {
    fn text(&mut self, text: &str, port: &mut Port<'_>) -> Step {
        if self.pending.is_some() {
            return Step::Broken("text where an attachment must come".to_string());
        }
        self.packet(text, None, port)
    }

    fn binary(&mut self, bytes: &[u8], port: &mut Port<'_>) -> Step {
        let Some((text, count, mut come)) = self.pending.take() else {
            return Step::Broken("an attachment that belongs to nothing".to_string());
        };
        come.push(bytes.to_vec());
        if come.len() == count {
            return self.packet(&text, Some(come), port);
        }
        self.pending = Some((text, count, come));
        Step::Next
    }

    fn is_unfinished(&self) -> bool {
        self.pending.is_some()
    }
}
