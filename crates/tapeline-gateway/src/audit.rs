//! The audit log: who was refused what, and who changed the hub. A line each, as JSON, in a file of its own or in the
//! program's log. It never holds up who makes the line: what comes faster than it may be written is counted, and the
//! next line says how many were left out.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tapeline_core::Now;
use tapeline_core::clock::rfc3339;
use tapeline_core::incidents::Trouble;
use tapeline_core::rates::Bucket;
use tapeline_core::settings::Rate;
use tapeline_schema::ErrorCode;

/// Lines that may wait for the disk.
const WAITING: usize = 4_096;
/// Refusals that are written; a flood of them must not fill the disk. What somebody changed is always written.
const REFUSALS: Rate = Rate { per_second: 100, burst: 1_000 };
/// The permissions of a new file: its owner's alone.
#[cfg(unix)]
const OWN: u32 = 0o600;

/// What is worth a line: codes of refusals that say that somebody tried what is not theirs.
const TELLING: [ErrorCode; 4] =
    [ErrorCode::Forbidden, ErrorCode::InvalidToken, ErrorCode::OwnerConflict, ErrorCode::ForeignOrigin];

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    event: &'a str,
    /// Who: a token's subject, a key's id or an address; with the client id, if it gave one.
    who: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    address: &'a str,
    /// A channel, a key or a path.
    #[serde(skip_serializing_if = "str::is_empty")]
    about: &'a str,
    /// An error code, or a status.
    result: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    /// Lines before this one that were not written.
    #[serde(skip_serializing_if = "is_none")]
    left_out: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What somebody did to the hub, or tried to.
pub(crate) struct Deed<'a> {
    pub who: &'a str,
    pub address: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    /// Nothing where the client went away before there was an answer.
    pub status: Option<u16>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Audit {
    /// Where there is a file of its own.
    to: Option<SyncSender<String>>,
    refusals: Mutex<Bucket>,
    left_out: AtomicU64,
}

impl Audit {
    /// Appends to this file, which is made if there is none.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, OWN);
        let file = options.open(path)?;
        let (to, lines) = sync_channel(WAITING);
        std::thread::Builder::new().name("audit".into()).spawn(move || write(file, &lines))?;
        Ok(Audit { to: Some(to), ..Audit::default() })
    }

    /// Somebody was refused something; only what is telling is written.
    pub fn refused(&self, trouble: &Trouble<'_>, now: Now) {
        if !TELLING.iter().any(|code| code.name() == trouble.code) {
            return;
        }
        if !self.refusals.lock().unwrap_or_else(PoisonError::into_inner).take(1, REFUSALS, now) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.write(Line {
            time: rfc3339(now.wall_us),
            event: trouble.kind.name(),
            who: trouble.client,
            address: "",
            about: trouble.channel,
            result: trouble.code,
            message: trouble.message,
            left_out: 0,
        });
    }

    /// Somebody used the admin interface.
    pub(crate) fn did(&self, deed: &Deed<'_>, now: Now) {
        self.write(Line {
            time: rfc3339(now.wall_us),
            event: "administered",
            who: deed.who,
            address: deed.address,
            about: &format!("{} {}", deed.method, deed.path),
            result: &deed.status.map_or_else(|| "broken off".to_string(), |status| status.to_string()),
            message: "",
            left_out: 0,
        });
    }

    fn write(&self, mut line: Line<'_>) {
        line.left_out = self.left_out.swap(0, Ordering::Relaxed);
        let Some(to) = &self.to else {
            let Line { event, who, address, about, result, message, left_out, .. } = line;
            tracing::info!(target: "audit", event, who, address, about, result, why = message, left_out);
            return;
        };
        let text = serde_json::to_string(&line).unwrap_or_default();
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = to.try_send(text) {
            self.left_out.fetch_add(line.left_out + 1, Ordering::Relaxed);
        }
    }
}

/// Writes until nobody hands in lines any more.
fn write(mut file: File, lines: &Receiver<String>) {
    let mut failed = false;
    for line in lines {
        let written = file.write_all(format!("{line}\n").as_bytes());
        if let (Err(error), false) = (&written, failed) {
            tracing::error!(%error, "the audit log cannot be written");
        }
        failed = written.is_err();
    }
}

#[cfg(test)]
mod tests {
    use tapeline_core::incidents::IncidentKind;

    use super::*;

    fn trouble(code: &'static str) -> Trouble<'static> {
        let kind = IncidentKind::RequestRefused;
        Trouble { kind, code, channel: "trades:p1", client: "ann", message: "it is not theirs" }
    }

    fn at(seconds: u64) -> Now {
        Now { mono_us: seconds * 1_000_000, wall_us: seconds * 1_000_000 }
    }

    /// An audit whose lines a test takes.
    fn audit() -> (Audit, Receiver<String>) {
        let (to, lines) = sync_channel(WAITING);
        (Audit { to: Some(to), ..Audit::default() }, lines)
    }

    #[test]
    fn what_is_telling_is_a_line_and_the_rest_is_not() {
        let (audit, lines) = audit();
        audit.refused(&trouble("forbidden"), at(1));
        audit.refused(&trouble("rate_limited"), at(1));
        let deed = Deed {
            who: "key:ops",
            address: "10.0.0.1",
            method: "POST",
            path: "/admin/reload",
            status: Some(200),
        };
        audit.did(&deed, at(2));
        let lines: Vec<_> = lines.try_iter().collect();
        assert_eq!(
            lines,
            [
                r#"{"time":"1970-01-01T00:00:01.000000Z","event":"request_refused","who":"ann","about":"trades:p1","result":"forbidden","message":"it is not theirs"}"#,
                r#"{"time":"1970-01-01T00:00:02.000000Z","event":"administered","who":"key:ops","address":"10.0.0.1","about":"POST /admin/reload","result":"200"}"#,
            ]
        );
    }

    #[test]
    fn a_flood_is_cut_short_and_counted() {
        let (audit, lines) = audit();
        for _ in 0..5_000 {
            audit.refused(&trouble("forbidden"), at(1));
        }
        assert_eq!(lines.try_iter().count(), 1_000);
        audit.refused(&trouble("forbidden"), at(60));
        let next = lines.try_recv().unwrap();
        assert!(next.ends_with(r#""left_out":4000}"#), "{next}");
    }

    #[test]
    fn lines_are_appended_to_a_file_of_its_owners_alone() {
        let path = std::env::temp_dir().join(format!("tapeline-audit-{}", std::process::id()));
        // A killed run of a process with the same id may have left one.
        let _ = std::fs::remove_file(&path);
        for _ in 0..2 {
            let audit = Audit::to_file(&path).unwrap();
            audit.refused(&trouble("forbidden"), at(1));
            drop(audit);
        }
        let text = || std::fs::read_to_string(&path).unwrap();
        let by = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while text().lines().count() < 2 && std::time::Instant::now() < by {
            std::thread::yield_now();
        }
        assert_eq!(text().lines().count(), 2, "{}", text());
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, OWN);
        std::fs::remove_file(&path).unwrap();
    }
}
