//! The port of the Redis door: accepts connections within the limits of all, and gives their sockets to the shards.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tapeline_core::session::Arrival;
use tapeline_core::{Grant, Refusal};
use tapeline_runtime::Handover;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::wire::{RESP2, refused};
use super::{Common, Resp};
use crate::app::App;
use crate::connection::{REFUSALS, has_room, part};
use crate::door::Door;
use crate::freed::set_up;
use crate::listen::{ListenError, bind};
use crate::peer::principal;

/// An address that is bound and not yet served.
pub struct RespListener {
    inner: TcpListener,
    address: SocketAddr,
}

impl RespListener {
    /// Binds; port 0 takes a free one. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Somebody else listens there, or it is not this machine's.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let (inner, address) = bind(address, "--redis-listen")?;
        Ok(RespListener { inner, address })
    }

    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the hub stops. Sessions that have begun are the shards'.
    pub async fn serve(self, app: Arc<App>) {
        let common = app.redis.get_or_init(|| Arc::new(Common::new(Handle::current()))).clone();
        let mut door = app.door().subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = self.inner.accept() => accepted,
                _ = door.wait_for(|door| *door != Door::Open) => return,
            };
            match accepted {
                Ok((stream, peer)) => open(&app, stream, peer, &common),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Out of file descriptors is the usual reason; trying again at once would spin.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

fn open(app: &Arc<App>, stream: TcpStream, peer: SocketAddr, common: &Arc<Common>) {
    let address = peer.ip().to_canonical();
    let name = principal(address);
    let pressed = || match app.hub.pressure().step() {
        0 => Ok(()),
        _ => Err(app.hub.pressure().refusal("new connections are not taken")),
    };
    let arrived = has_room(app, 0).and_then(|()| pressed()).and_then(|()| app.arrive(address));
    let here = match arrived {
        Ok(here) => here,
        Err(refusal) => {
            app.report_refused(&name, &refusal);
            if app.refusing.count() < REFUSALS {
                let refusing = app.refusing.enter();
                tokio::spawn(async move {
                    let _refusing = refusing;
                    refuse(stream, refusal).await;
                });
            }
            return;
        }
    };
    let authority = app.hub.authority();
    let grant = match authority.anonymous() {
        _ if authority.is_off() => Grant::Anyone,
        Some(stranger) => Grant::Known(stranger),
        None => Grant::Nobody,
    };
    let arrival = Arrival {
        principal: name.clone(),
        address: name,
        seat: None,
        client: None,
        grant,
        wire: &RESP2,
        notices: false,
        heartbeat: false,
        beat: None,
    };
    set_up(&stream);
    let protocol = Box::new(Resp::new(&app.hub.settings(), common.clone(), here));
    match stream.into_std() {
        Ok(stream) => app.shards.open(Handover { stream, tls: None, read: Vec::new(), arrival, protocol }),
        Err(error) => tracing::warn!(%error, "a socket could not be handed to its shard"),
    }
}

/// Says why, as Redis does before it has read anything.
async fn refuse(stream: TcpStream, refusal: Refusal) {
    let told = format!("-{}\r\n", refused(&refusal));
    part(stream, told.as_bytes()).await;
}
