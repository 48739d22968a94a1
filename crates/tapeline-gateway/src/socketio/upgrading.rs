//! WebSockets of Socket.IO clients: opened at once, or tried by a session that polls and then freed. Until a session is
//! on it, a socket is read here; then its shard has it. It knows no event.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use tapeline_codec::engineio::Packet;
use tapeline_codec::websocket::encoder::{close_frame, text_frame};
use tapeline_codec::websocket::{Decoder, Event, Limits};
use tapeline_core::session::Arrival;
use tapeline_runtime::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::table::{Session, State};
use super::transport::{Holds, OverSocket};
use crate::app::App;
use crate::freed::Freed;
use crate::upgrade::{check, switching};

/// Bytes that are read of a socket at once while it is tried; a client says two packets then.
const READ_BYTES: usize = 1 << 10;

/// A session that begins on a WebSocket.
pub(super) fn open(
    app: &Arc<App>,
    mut request: Request,
    open: &str,
    arrival: Arrival,
    protocol: Box<dyn Protocol>,
) -> Response {
    let checked = match check(&mut request, false) {
        Ok(checked) => checked,
        Err(response) => return *response,
    };
    let (app, open, upgrade) = (app.clone(), text_frame(open.as_bytes()), checked.upgrade);
    tokio::spawn(async move {
        let Some(mut freed) = Freed::after(upgrade).await else { return };
        if freed.line.write_all(&open).await.is_ok() && freed.line.flush().await.is_ok() {
            freed.open(&app.shards, arrival, protocol);
        }
    });
    switching(checked.accept_key, checked.named, None)
}

/// A WebSocket for a session that polls. A second one, or one for a session that has moved already, is closed.
pub(super) fn upgrade(
    app: &Arc<App>,
    session: Arc<Session>,
    mut request: Request,
    limits: Limits,
) -> Response {
    let checked = match check(&mut request, false) {
        Ok(checked) => checked,
        Err(response) => return *response,
    };
    let (is_first, app) = (session.begin_upgrade(), app.clone());
    let here = request.extensions().get::<Arc<crate::peer::Peer>>().and_then(|peer| peer.here.clone());
    tokio::spawn(async move {
        if !is_first {
            if let Some(freed) = Freed::after(checked.upgrade).await {
                freed.part(&close_frame(Some(1000), "the session has a WebSocket")).await;
            }
            return;
        }
        let tried = tokio::time::timeout(
            app.socketio.settings.upgrade_timeout,
            tried(&session, checked.upgrade, limits),
        );
        let Ok(Some(freed)) = tried.await else {
            // It goes on polling, unless it has ended meanwhile.
            session.state.send_if_modified(|state| {
                let is_trying = matches!(state, State::Trying | State::Probed);
                if is_trying {
                    *state = State::Polling;
                }
                is_trying
            });
            return;
        };
        take(&app, &session, freed, limits, here);
    });
    switching(checked.accept_key, checked.named, None)
}

/// Answers the client's probe and waits for its word that it has changed. What it said after that comes along.
async fn tried(session: &Session, upgrade: OnUpgrade, limits: Limits) -> Option<Freed> {
    let mut freed = Freed::after(upgrade).await?;
    let mut decoder = Decoder::new(limits);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let (mut is_probed, mut is_over) = (false, false);
        let mut events = decoder.feed(&mut freed.read);
        while !is_over {
            match events.next() {
                Ok(Some(Event::Text(text))) => match Packet::parse(text) {
                    Ok(Packet::Ping("probe")) => is_probed = true,
                    Ok(Packet::Upgrade) => is_over = true,
                    _ => return None,
                },
                Ok(Some(Event::Ping(_) | Event::Pong(_))) => {}
                Ok(None) => break,
                _ => return None,
            }
        }
        let consumed = events.consumed();
        if is_probed {
            freed.line.write_all(&text_frame(b"3probe")).await.ok()?;
            freed.line.flush().await.ok()?;
            session.state.send_if_modified(|state| {
                let is_trying = *state == State::Trying;
                if is_trying {
                    *state = State::Probed;
                }
                is_trying
            });
        }
        if is_over {
            freed.read.drain(..consumed);
            return Some(freed);
        }
        let read = freed.line.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        freed.read = buffer.get(..read).unwrap_or_default().to_vec();
    }
}

/// The session's bytes go over the socket from now on.
fn take(
    app: &App,
    session: &Session,
    freed: Freed,
    limits: Limits,
    here: Option<Arc<crate::addresses::Here>>,
) {
    let is_taken = session.state.send_if_modified(|state| {
        let may = matches!(state, State::Trying | State::Probed);
        if may {
            *state = State::Upgraded;
        }
        may
    });
    // A session that has ended meanwhile takes no socket; this one is closed by being let go of.
    let (true, Some(seat), Some(far)) = (is_taken, session.seat.upgrade(), session.take_far()) else {
        return;
    };
    seat.upgraded();
    let holds = Holds::new(Some(seat), here);
    let protocol = Box::new(OverSocket::new(limits, session.talk.clone(), holds));
    freed.take_over(&app.shards, far, protocol);
}
