//! The hub's data directory from outside: `GET /admin/data/backup`, a stream that the hub writes as fast as it is read, and
//! `GET /admin/data/usage`. For this machine alone; what a backup is, is [`crate::admin::Admin`]'s to know.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use tapeline_schema::ErrorCode;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::SendTimeoutError};

use crate::admin::{Local, call};
use crate::app::App;
use crate::error::Failure;

/// A backup that nobody reads for so long is given up.
const STALL: Duration = Duration::from_secs(60);

/// Pieces of a backup between the hub and a slow reader.
const PIECES: usize = 4;

/// The bytes of one family in the data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyBytes {
    /// Its name; empty for the store.
    pub family: String,
    /// Data of messages that are kept.
    pub live: u64,
    /// Records in the log.
    pub log: u64,
    /// Records in snapshots.
    pub snapshot: u64,
}

/// The answer of `GET /admin/data/usage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataUsage {
    /// By name.
    pub families: Vec<FamilyBytes>,
}

type Piece = Result<Bytes, io::Error>;

/// A body that another thread writes.
struct Written(mpsc::Receiver<Piece>);

impl hyper::body::Body for Written {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// What writes it; waits while the reader is slow.
struct Out {
    to: mpsc::Sender<Piece>,
    runtime: Handle,
}

impl Out {
    /// Hands a piece on, unless nobody takes any for too long: meanwhile the hub cannot compact its log.
    fn send(&self, piece: Piece) -> io::Result<()> {
        let sent = self.runtime.block_on(async { self.to.send_timeout(piece, STALL).await });
        sent.map_err(|error| match error {
            SendTimeoutError::Timeout(_) => io::Error::new(
                io::ErrorKind::TimedOut,
                format!("its reader took nothing for {} s", STALL.as_secs()),
            ),
            SendTimeoutError::Closed(_) => io::ErrorKind::BrokenPipe.into(),
        })
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Ok(Bytes::copy_from_slice(bytes))).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `GET /admin/data/backup`.
pub(crate) async fn backup(_: Local, State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let (to, mut pieces) = mpsc::channel(PIECES);
    let (admin, runtime) = (app.admin.clone(), Handle::current());
    let done = tokio::task::spawn_blocking(move || {
        let out = |to| Out { to, runtime: runtime.clone() };
        let outcome = admin.backup(&mut io::BufWriter::with_capacity(1 << 20, out(to.clone())));
        if outcome.is_err() {
            // What has been sent is no backup; a reader that has gone needs no telling.
            let _ = out(to).send(Err(io::Error::other("the backup broke off")));
        }
        outcome
    });
    // Until something is written it can be refused.
    let first = pieces.recv().await;
    let Some(Ok(first)) = first else {
        return match done.await {
            Ok(Err(refusal)) => Err(refusal.into()),
            _ => Err(Failure::new(ErrorCode::Internal, "the backup broke off")),
        };
    };
    let (again, rest) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let mut next = Some(Ok(first));
        while let Some(piece) = next {
            if again.send(piece).await.is_err() {
                return;
            }
            next = pieces.recv().await;
        }
    });
    Ok(([(CONTENT_TYPE, "application/octet-stream")], Body::new(Written(rest))).into_response())
}

/// `GET /admin/data/usage`.
pub(crate) async fn usage(_: Local, State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let families = call(&app, |admin| admin.usage()).await?;
    Ok(Json(DataUsage { families }).into_response())
}
