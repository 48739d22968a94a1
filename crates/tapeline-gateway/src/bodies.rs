//! Reading a request's body: within its bound, in time and at a pace, within what all bodies together may take, and
//! within what its sender may bring. It knows no route and no form of what it reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use bytes::Bytes;
use http_body_util::BodyExt;
use tapeline_core::{Refusal, Settings};
use tapeline_schema::ErrorCode;
use tokio::time::Instant;

use crate::app::App;
use crate::caller::Caller;
use crate::error::Failure;
use crate::peer::Peer;

/// When there may be room for another body.
const COME_BACK: Duration = Duration::from_secs(1);

/// The bytes of all bodies that are read or worked on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bodies(Arc<AtomicUsize>);

impl Bodies {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The part of one of them, given back when it is dropped.
struct Held {
    bodies: Bodies,
    bytes: usize,
}

impl Held {
    /// Takes so many more, if all together then stay within the limit.
    fn grow(&mut self, more: usize, limit: usize) -> bool {
        let before = self.bodies.0.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        before.saturating_add(more) <= limit
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bodies.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body, which counts for as long as anything looks at it.
struct Counted {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn no_room(app: &App, limit: usize) -> Failure {
    app.addresses.turned_away.bodies.add(1);
    let message =
        format!("bodies of all requests together are over {limit} bytes, the limit (limits.bodies_bytes)");
    Refusal::new(ErrorCode::Overloaded, message).retry_after(COME_BACK).into()
}

/// The whole body, within its bound in bytes, which `setting` names.
pub(crate) async fn body(app: &App, request: Request, limit: usize, setting: &str) -> Result<Bytes, Failure> {
    let peer = request.extensions().get::<Arc<Peer>>().cloned();
    let caller = request.extensions().get::<Caller>().map(|caller| caller.principal.clone());
    let sender = peer.zip(caller);
    if let Some((peer, principal)) = &sender {
        peer.may_bring_bytes(&app.hub, principal)?;
    }
    let in_all = app.hub.settings().bodies_bytes;
    if app.bodies.bytes() >= in_all {
        return Err(no_room(app, in_all));
    }
    let mut held = Held { bodies: app.bodies.clone(), bytes: 0 };
    let (mut body, began) = (request.into_body(), Instant::now());
    // Most come in one piece, which need not be copied.
    let (mut first, mut whole) = (Bytes::new(), Vec::new());
    loop {
        let (by, too_slow) = deadline(&app.hub.settings(), held.bytes);
        let Ok(frame) = tokio::time::timeout_at(began + by, body.frame()).await else {
            return Err(Failure::new(ErrorCode::Timeout, too_slow));
        };
        let Some(frame) = frame else { break };
        let frame = frame
            .map_err(|error| Failure::new(ErrorCode::InvalidRequest, format!("body ended early: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if held.bytes.saturating_add(data.len()) > limit {
            let message = format!("body is over {limit} bytes, the limit ({setting})");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        if !held.grow(data.len(), in_all) {
            return Err(no_room(app, in_all));
        }
        if let Some((peer, principal)) = &sender {
            peer.spend_bytes(&app.hub, principal, data.len() as u64);
        }
        if first.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&data);
        }
    }
    let bytes = if whole.is_empty() { first } else { Bytes::from(whole) };
    Ok(Bytes::from_owner(Counted { bytes, _held: held }))
}

/// When the next piece must have come, after so many bytes, counted from the begin; and what is told if it has not.
fn deadline(settings: &Settings, bytes: usize) -> (Duration, String) {
    let total = settings.body_timeout;
    let pace = settings.body_pace;
    let earned = Duration::from_secs(bytes as u64).checked_div(pace).unwrap_or(total);
    // As long as its head had; what is in flight by then has a pace that means something.
    let paced = settings.handshake_timeout.saturating_add(earned);
    if paced < total {
        (paced, format!("the body came slower than {pace} bytes a second (limits.body_bytes_per_second)"))
    } else {
        let seconds = total.as_secs_f64();
        (total, format!("the body took longer than {seconds} s (limits.body_timeout_s)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_ten_seconds_and_then_as_long_as_its_bytes_are_worth() {
        let settings = Settings { body_pace: 1_000, ..Settings::default() };
        assert_eq!(deadline(&settings, 0).0, Duration::from_secs(10));
        assert_eq!(deadline(&settings, 5_500).0, Duration::from_millis(15_500));
        assert!(deadline(&settings, 5_500).1.contains("limits.body_bytes_per_second"));
        assert_eq!(deadline(&settings, 500_000).0, Duration::from_secs(60), "and never more than its time");
        assert!(deadline(&settings, 500_000).1.contains("limits.body_timeout_s"));
        let settings = Settings { body_pace: 0, ..settings };
        assert_eq!(deadline(&settings, 0).0, Duration::from_secs(60), "0 is no limit");
    }
}
