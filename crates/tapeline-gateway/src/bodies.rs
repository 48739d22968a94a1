//! Reading a request's body: within its bound, in time and at a pace, within what all bodies together may take, and
//! within what its sender may bring. It knows no route and no form of what it reads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::HttpBody;
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

/// Of what all bodies may take, one principal's may take one part in so many, and small ones alone the last one.
const PARTS: usize = 8;

/// The bytes of all bodies that are read or worked on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bodies(Arc<All>);

#[derive(Debug, Default)]
struct All {
    bytes: AtomicUsize,
    /// Of each principal that has any.
    of: Mutex<HashMap<Arc<str>, usize>>,
}

impl Bodies {
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    fn of(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.0.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of one of them, given back when it is dropped.
struct Held {
    bodies: Bodies,
    principal: Option<Arc<str>>,
    bytes: usize,
}

/// Who has no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    All,
    Principal,
}

impl Held {
    fn new(bodies: Bodies, principal: Option<Arc<str>>) -> Self {
        Held { bodies, principal, bytes: 0 }
    }

    /// Takes so many more, if all together then stay within the limit, and those of its principal within their part. One
    /// body is never too much for its principal. Those larger than `small` leave the last part to others.
    fn grow(&mut self, more: usize, limit: usize, small: usize) -> Result<(), Full> {
        let others = self.principal.as_ref().map_or(0, |principal| {
            let mut of = self.bodies.of();
            let all = of.entry(principal.clone()).or_default();
            *all += more;
            all.saturating_sub(self.bytes + more)
        });
        let before = self.bodies.0.bytes.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        let limit_here = if self.bytes > small { limit - limit / PARTS } else { limit };
        if before.saturating_add(more) > limit_here {
            return Err(Full::All);
        }
        match others > 0 && others.saturating_add(self.bytes) > limit / PARTS {
            true => Err(Full::Principal),
            false => Ok(()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bodies.0.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        if let Some(principal) = &self.principal {
            let mut of = self.bodies.of();
            if let Some(all) = of.get_mut(principal) {
                *all = all.saturating_sub(self.bytes);
                if *all == 0 {
                    of.remove(principal);
                }
            }
        }
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

fn no_room(app: &App, full: Full, limit: usize) -> Failure {
    app.addresses.turned_away.bodies.add(1);
    let message = match full {
        Full::All => {
            format!("bodies of all requests together are over {limit} bytes, the limit (limits.bodies_bytes)")
        }
        Full::Principal => {
            let part = limit / PARTS;
            format!(
                "your bodies together are over {part} bytes, an eighth of the limit (limits.bodies_bytes)"
            )
        }
    };
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
    let (in_all, small) = {
        let settings = app.hub.settings();
        (settings.bodies_bytes, settings.publish_bytes)
    };
    if app.bodies.bytes() >= in_all {
        return Err(no_room(app, Full::All, in_all));
    }
    let principal = sender.as_ref().map(|(_, principal)| principal.clone());
    let mut held = Held::new(app.bodies.clone(), principal);
    let (mut body, began) = (request.into_body(), Instant::now());
    // What of it is announced, which is not more than it may have.
    let announced = body.size_hint().exact().and_then(|exact| usize::try_from(exact).ok());
    let announced = announced.unwrap_or_default().min(limit);
    // Most come in one piece, which need not be copied.
    let (mut first, mut whole) = (Bytes::new(), Vec::new());
    loop {
        let (by, too_slow) = deadline(&app.hub.settings(), first.len().max(whole.len()));
        let Ok(frame) = tokio::time::timeout_at(began + by, body.frame()).await else {
            return Err(Failure::new(ErrorCode::Timeout, too_slow));
        };
        let Some(frame) = frame else { break };
        let frame = frame
            .map_err(|error| Failure::new(ErrorCode::InvalidRequest, format!("body ended early: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let len = first.len().max(whole.len()).saturating_add(data.len());
        if len > limit {
            let message = format!("body is over {limit} bytes, the limit ({setting})");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        held.grow(len.saturating_sub(held.bytes), in_all, small)
            .map_err(|full| no_room(app, full, in_all))?;
        if let Some((peer, principal)) = &sender {
            peer.spend_bytes(&app.hub, principal, data.len() as u64);
        }
        if first.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                // No more than there is; what has not come yet takes no memory.
                whole.reserve_exact(announced);
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&data);
            // A body of which nobody knows how long it is grows by leaps.
            let spare = whole.capacity().saturating_sub(held.bytes.max(announced));
            held.grow(spare, in_all, small).map_err(|full| no_room(app, full, in_all))?;
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

    fn held(bodies: &Bodies, who: &str) -> Held {
        Held::new(bodies.clone(), Some(who.into()))
    }

    #[test]
    fn one_principal_takes_an_eighth_and_small_bodies_have_the_last_one() {
        let bodies = Bodies::default();
        let (mut one, mut two, mut other) = (held(&bodies, "a"), held(&bodies, "a"), held(&bodies, "b"));
        assert_eq!(one.grow(60, 800, 100), Ok(()));
        assert_eq!(two.grow(40, 800, 100), Ok(()));
        assert_eq!(two.grow(1, 800, 100), Err(Full::Principal));
        assert_eq!(other.grow(599, 800, 100), Ok(()), "one body alone may be larger");
        assert_eq!(other.grow(1, 800, 100), Err(Full::All), "but not all of it");
        assert_eq!(held(&bodies, "c").grow(99, 800, 100), Ok(()), "which is for small ones");
        drop((one, two, other));
        assert_eq!((bodies.bytes(), bodies.of().len()), (0, 0));
    }

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
