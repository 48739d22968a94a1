//! The Socket.IO door: official clients by WebSocket, long polling, and the change from one to the other. This file takes
//! the requests; `polling` and `upgrading` serve sessions that began with polling, `transport` and `talk` run in the shard.
//! It knows nothing of routing or what a channel is.

mod commands;
mod mark;
mod polling;
mod settings;
mod sid;
mod suites;
mod table;
mod talk;
mod transport;
mod upgrading;
mod wire;

use std::sync::{Arc, Mutex};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tapeline_codec::engineio::{self, Handshake, Refused};
use tapeline_codec::socketio::{Kind, Packet, event};
use tapeline_codec::websocket::Limits;
use tapeline_core::channel::push_json_string;
use tapeline_core::command::Req;
use tapeline_core::session::Arrival;
use tapeline_core::{Command, Refusal};
use tapeline_schema::ErrorCode;

use crate::app::App;
use crate::caller::Caller;
use crate::connection::has_room;
use crate::error::Failure;
use crate::extract::Asking;
use crate::native::ENVELOPE_BYTES;
use crate::peer::{Peer, stays};

use settings::Set;
use suites::{Echo, Suite};
use table::{Session, Table};
use talk::{Speech, Talk};
use transport::{Holds, OverPolling, Shared};

pub use settings::SocketIo;
pub use tapeline_codec::socketio::is_reserved;
pub use wire::{SocketIoWire, plain};

/// The protocol's version that is spoken.
const VERSION: &str = "4";
/// The bytes of one body that the suites ask for.
const SUITE_PAYLOAD: usize = 1_000_000;
/// Where the door is.
pub(crate) const PATHS: [&str; 2] = ["/socket.io", "/socket.io/"];
/// Where the suite of Engine.IO finds its echo.
pub(crate) const ECHO_PATHS: [&str; 2] = ["/engine.io", "/engine.io/"];

/// What stands behind a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Hub,
    Suite,
    Echo,
}

/// The door of one hub.
pub(crate) struct Door {
    settings: SocketIo,
    set: Arc<Set>,
    table: Arc<Table>,
    behind: Behind,
}

impl Door {
    /// `conformance`: whether the suites' own application is behind it.
    pub(crate) fn new(settings: SocketIo, conformance: bool) -> Self {
        let (settings, behind) = match conformance {
            true => (SocketIo::of_suites(), Behind::Suite),
            false => (settings, Behind::Hub),
        };
        Door { set: settings.set(), settings, table: Arc::default(), behind }
    }
}

/// What a request says in its query.
#[derive(Debug, Default)]
struct Asked {
    transport: String,
    version: String,
    sid: Option<String>,
    headers: bool,
    jsonp: bool,
}

impl Asked {
    fn read(pairs: Vec<(String, String)>) -> Self {
        let mut asked = Asked::default();
        for (name, value) in pairs {
            match name.as_str() {
                "transport" => asked.transport = value,
                "EIO" => asked.version = value,
                "sid" => asked.sid = Some(value),
                "headers" => asked.headers = matches!(value.as_str(), "1" | "true"),
                "j" => asked.jsonp = true,
                _ => {}
            }
        }
        asked
    }
}

/// A refusal as clients of Engine.IO read it; without a reason of its own it has the protocol's words.
fn refused(why: Refused, reason: &str) -> Response {
    let mut body = format!("{{\"code\":{},\"message\":", why.code()).into_bytes();
    let words = why.to_string();
    let message = if reason.is_empty() { words } else { format!("{words}: {reason}") };
    push_json_string(&mut body, &message);
    body.push(b'}');
    let status = StatusCode::from_u16(why.status()).unwrap_or(StatusCode::BAD_REQUEST);
    (status, [(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
}

/// Whether the path is this door's.
pub(crate) fn is_here(path: &str) -> bool {
    PATHS.contains(&path) || ECHO_PATHS.contains(&path)
}

/// Whether a request belongs to a session that there is: its name says who asks, and what it asks for is counted where it
/// is read.
pub(crate) fn is_of_session(app: &App, request: &Request) -> bool {
    // Names are made of characters that nobody has to escape.
    let named = |query: &str| {
        let mut names = query.split('&').filter_map(|pair| pair.strip_prefix("sid="));
        // Of several the last one is meant.
        names.next_back().is_some_and(|sid| app.socketio.table.get(sid).is_some())
    };
    is_here(request.uri().path()) && !stays(request) && request.uri().query().is_some_and(named)
}

/// What a packet asks for, and what marks the answer.
pub(crate) fn read(text: &str) -> Option<(Req, Result<Command, Refusal>)> {
    let Ok(engineio::Packet::Message(message)) = engineio::Packet::parse(text) else { return None };
    let packet = Packet::parse(message).ok()?;
    if !matches!(packet.kind, Kind::Event | Kind::BinaryEvent) {
        return None;
    }
    let event = event(packet.payload?).ok()?;
    let req = mark::Mark::ack(packet.ack);
    Some((req.clone(), commands::command(&event, packet.attachments > 0, req)))
}

/// Somebody who is not let in, in the words of Engine.IO.
pub(crate) fn forbidden(refusal: &Refusal) -> Response {
    refused(Refused::Forbidden, &refusal.message)
}

/// One request, with what it needs.
struct Ask<'a> {
    app: &'a Arc<App>,
    peer: &'a Peer,
    caller: Caller,
    asked: Asked,
    behind: Behind,
}

/// `/socket.io/`.
pub(crate) async fn door(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(caller): Extension<Caller>,
    Asking(pairs): Asking<Vec<(String, String)>>,
    request: Request,
) -> Response {
    if !app.socketio.settings.enabled {
        return Failure::new(ErrorCode::NotFound, "Socket.IO is off (socketio.enabled)").into_response();
    }
    let behind = app.socketio.behind;
    let asked = Asked::read(pairs);
    Ask { app: &app, peer: &peer, caller, asked, behind }.take(request).await
}

/// `/engine.io/`, for the suite alone.
pub(crate) async fn echo(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(caller): Extension<Caller>,
    Asking(pairs): Asking<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let asked = Asked::read(pairs);
    Ask { app: &app, peer: &peer, caller, asked, behind: Behind::Echo }.take(request).await
}

impl Ask<'_> {
    /// The order of the checks is the one of the reference server.
    async fn take(self, request: Request) -> Response {
        let (door, is_socket) = (&self.app.socketio, self.asked.transport == "websocket");
        if !is_socket && self.asked.transport != "polling" {
            return refused(Refused::Transport, "");
        }
        if self.asked.jsonp {
            return refused(Refused::Request, "JSONP is not served");
        }
        if let Some(sid) = &self.asked.sid {
            let Some(session) = door.table.get(sid) else {
                return match is_socket {
                    true => refused(Refused::Session, ""),
                    false => polling::gone(&door.table, sid),
                };
            };
            return match (is_socket, request.method()) {
                (true, &Method::GET) => upgrading::upgrade(self.app, session, request, self.limits()),
                (false, &Method::GET) => polling::get(&door.table, &session).await,
                (false, &Method::POST) => {
                    let limit = self.max_payload();
                    polling::post(self.app, &door.table, session, request, limit).await
                }
                _ => refused(Refused::Request, "sessions take GET and POST"),
            };
        }
        if request.method() != Method::GET {
            return refused(Refused::Method, "");
        }
        if self.asked.version != VERSION {
            return refused(Refused::Version, "");
        }
        match is_socket {
            true => self.open_socket(request),
            false => self.open_polling(),
        }
    }

    fn max_payload(&self) -> usize {
        match self.behind {
            Behind::Hub => self.app.hub.settings().publish_bytes + ENVELOPE_BYTES,
            Behind::Suite | Behind::Echo => SUITE_PAYLOAD,
        }
    }

    fn limits(&self) -> Limits {
        let fragments = self.app.hub.settings().frame_fragments;
        Limits { message_bytes: self.max_payload(), fragments }
    }

    fn handshake(&self, sid: &str, may_upgrade: bool) -> String {
        let settings = &self.app.socketio.settings;
        Handshake {
            sid,
            may_upgrade,
            ping_interval_ms: settings.ping_interval_ms.into(),
            ping_timeout_ms: settings.ping_timeout_ms.into(),
            max_payload: self.max_payload(),
        }
        .to_string()
    }

    fn talk(&self) -> Shared {
        let app = self.app;
        let speech: Box<dyn Speech> = match self.behind {
            Behind::Suite => Box::new(Suite::default()),
            Behind::Echo => Box::new(Echo),
            Behind::Hub => {
                let set = app.socketio.set.clone();
                let frame_bytes = app.hub.settings().frame_bytes;
                Box::new(Talk::new(set, self.asked.headers, frame_bytes, app.hub.now().mono_us))
            }
        };
        Arc::new(Mutex::new(speech))
    }

    fn arrival(&self) -> Arrival {
        let door = &self.app.socketio;
        Arrival {
            principal: self.caller.principal.clone(),
            address: self.peer.principal.clone(),
            client: None,
            seat: None,
            grant: self.caller.grant.clone(),
            wire: door.set.wires.pick(self.asked.headers, true),
            notices: true,
            heartbeat: false,
            beat: Some(door.settings.beat()),
        }
    }

    fn open_socket(self, request: Request) -> Response {
        let Some(sid) = sid::session() else { return no_randomness() };
        let open = self.handshake(&sid, false);
        let holds = Holds::new(None, self.peer.here.clone());
        let protocol = transport::OverSocket::new(self.limits(), self.talk(), holds);
        upgrading::open(self.app, request, &open, self.arrival(), Box::new(protocol))
    }

    fn open_polling(self) -> Response {
        let (app, door) = (self.app, &self.app.socketio);
        let limit = door.settings.polling_sessions;
        let Some(sid) = sid::session() else { return no_randomness() };
        if app.hub.pressure().step() > 0 {
            app.addresses.turned_away.memory.add(1);
            return Failure(app.hub.pressure().refusal("new connections are not taken")).into_response();
        }
        // It is no connection of its own, but costs as much as one.
        let here = match has_room(app, 0).and_then(|()| app.arrive(self.peer.client)) {
            Ok(here) => here,
            Err(refusal) => {
                app.report_refused(&self.peer.principal, &refusal);
                return Failure::from(refusal).into_response();
            }
        };
        let open = self.handshake(&sid, true);
        let Some(seat) = door.table.seat(sid, limit) else {
            let message = format!("{limit} sessions poll, which is the limit (socketio.polling_sessions)");
            let refusal = Refusal::new(ErrorCode::Overloaded, message);
            app.report_refused(&self.peer.principal, &refusal);
            return Failure::from(refusal).into_response();
        };
        let talk = self.talk();
        let holds = Holds::new(Some(seat.clone()), here);
        let protocol = Box::new(OverPolling::new(talk.clone(), holds));
        match app.shards.open_conduit(self.arrival(), protocol) {
            Ok(far) => door.table.insert(Session::new(&seat, far, talk, door.settings.beat())),
            Err(gone) => return Failure::new(ErrorCode::Internal, gone.to_string()).into_response(),
        }
        polling::text(open)
    }
}

fn no_randomness() -> Response {
    Failure::new(ErrorCode::Internal, "the operating system gives no randomness").into_response()
}
