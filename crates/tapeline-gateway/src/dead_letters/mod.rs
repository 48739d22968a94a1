//! Dead letters over HTTP: `GET /dead-letters`, `GET /dead-letters/letter`, and for this machine alone
//! `POST /admin/dead-letters/redrive` and `/purge`. Letters are messages of the family `dead_letters`, read from the
//! broker like all others; nothing else is kept here.

mod list;
mod purge;
mod redrive;
mod scan;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tapeline_core::{Channel, Hub, Refusal};
use tapeline_schema::ErrorCode;
use tapeline_schema::events::DEAD_LETTERS;

use crate::app::App;
use crate::error::Failure;

pub(crate) use list::{letter, list};
pub(crate) use purge::purge;
pub use purge::{PurgeRequest, Purged, PurgedSource};
pub(crate) use redrive::redrive;
pub use redrive::{Outcome, Redrive, RedriveAnswer, RedriveError, RedriveRequest};

/// One letter.
#[derive(Debug, Serialize, Deserialize)]
pub struct Letter {
    /// Who gave up: the key of its channel, or nothing where it was published to `dead_letters` itself.
    pub source: String,
    /// Its place in its channel.
    pub offset: u64,
    /// What the offset counts under.
    pub epoch: String,
    /// The letter's own id.
    pub id: String,
    /// When the hub took the letter, RFC 3339.
    pub timestamp: String,
    /// Why it was given up.
    pub reason: String,
    /// How often it was tried; this and what follows is null in a list, where it cannot be read.
    pub attempts: Box<RawValue>,
    /// When first.
    pub first_at: Box<RawValue>,
    /// When last.
    pub last_at: Box<RawValue>,
    /// What went wrong, in a sentence; of a letter that cannot be read, why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where and when it was published again, if it was.
    pub redriven: Option<Redriven>,
    /// What it was, as it came.
    pub original: Box<RawValue>,
}

/// What a note of type `dead_letter_redriven` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redriven {
    /// When, RFC 3339.
    pub at: String,
    /// The channel that it was published to again.
    pub channel: String,
    /// Its place there.
    pub offset: u64,
    /// What that offset counts under.
    pub epoch: String,
    /// The id that it has there.
    pub id: String,
}

/// How many letters of a source have a reason, of those that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// Who gave up.
    pub source: String,
    /// Why.
    pub reason: String,
    /// Letters that were not published again.
    pub outstanding: u64,
    /// Letters that were.
    pub redriven: u64,
}

/// The answer of `GET /dead-letters`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Letters {
    /// Newest first.
    pub letters: Vec<Letter>,
    /// As `before`, asks for the page after this one; absent on the last.
    pub next: Option<u64>,
    /// Of all that is kept, whatever the page.
    pub totals: Vec<Total>,
    /// Whether all that is kept was looked at; a call reads 32 MiB of letters at most, the newest.
    pub complete: bool,
}

/// Letters since the hub started by source and reason: what `/stats` says of them.
pub(crate) fn counted(hub: &Hub) -> [BTreeMap<String, BTreeMap<String, u64>>; 2] {
    let mut sums = [BTreeMap::new(), BTreeMap::new()];
    for count in hub.dead_letters().counts() {
        for (sum, number) in sums.iter_mut().zip([count.taken, count.lost]).filter(|(_, number)| *number > 0)
        {
            let source: &mut BTreeMap<String, u64> = sum.entry(count.source.to_string()).or_default();
            source.insert(count.reason.to_string(), number);
        }
    }
    sums
}

/// The channel of a source's letters; nothing is the family's own name.
fn channel_of(hub: &Hub, source: &str) -> Result<Channel, Refusal> {
    match source {
        "" => hub.channel(DEAD_LETTERS),
        source => hub.channel(&format!("{DEAD_LETTERS}:{source}")),
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}

/// Reads letters on a thread that may wait; one request at a time, so that looking through them costs no more than that.
async fn look<T: Send + 'static>(
    app: &Arc<App>,
    look: impl FnOnce(&Hub) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Failure> {
    let broke_off = || Failure::new(ErrorCode::Internal, "looking through the dead letters broke off");
    let turn = app.letters.clone().acquire_owned().await.map_err(|_| broke_off())?;
    let hub = app.hub.clone();
    let looked = tokio::task::spawn_blocking(move || {
        // Until it is done, also where nobody waits for it any more.
        let _turn = turn;
        look(&hub)
    });
    Ok(looked.await.map_err(|_| broke_off())??)
}
