//! TLS as the gateway has it: the certificate that is served now, how it is replaced while clients stay, and what is
//! counted of handshakes. `files` reads certificates, `leaf` says how long one holds, `handshake` lets clients in,
//! `keeping` looks after it all. It knows no request.

mod files;
mod handshake;
mod keeping;
mod leaf;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio_rustls::rustls::ServerConfig;

pub use files::{TlsError, TlsFiles, TlsVersion};
pub(crate) use handshake::Handshakes;
pub use keeping::keep;

use files::{Loaded, Stamp};

/// See the module.
pub struct Tls {
    served: ArcSwap<Served>,
    newest: Mutex<Newest>,
    /// Held while files are read, which may take long; `newest` never is.
    reading: Mutex<()>,
    handshakes: Handshakes,
}

/// What new handshakes get.
struct Served {
    config: Arc<ServerConfig>,
    /// Of its own certificate, in seconds since 1970.
    not_after: i64,
}

/// What was read last, whether it is served or not.
struct Newest {
    files: TlsFiles,
    stamp: Stamp,
    /// Why it is not served.
    trouble: Option<String>,
}

impl Tls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// They cannot be served.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let stamp = files.stamp();
        let served = Served::of(files.load()?);
        served.warn();
        let newest = Newest { files, stamp, trouble: None };
        Ok(Tls {
            served: ArcSwap::from_pointee(served),
            newest: Mutex::new(newest),
            reading: Mutex::default(),
            handshakes: Handshakes::default(),
        })
    }

    /// Reads these files, now and from now on. Where they cannot be served, what was served goes on, and the log and
    /// `/health` say so.
    pub fn replace(&self, files: TlsFiles) {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.newest().files = files.clone();
        self.read(&files);
    }

    /// Reads them again if they have changed, or could not be served.
    pub(crate) fn look(&self) {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (files, stamp, is_troubled) = {
            let newest = self.newest();
            (newest.files.clone(), newest.stamp, newest.trouble.is_some())
        };
        if stamp != files.stamp() || is_troubled {
            self.read(&files);
        }
    }

    fn read(&self, files: &TlsFiles) {
        // Taken before: what changes meanwhile is seen the next time.
        let stamp = files.stamp();
        let loaded = files.load();
        let mut newest = self.newest();
        newest.stamp = stamp;
        match loaded {
            Ok(loaded) => {
                let served = Served::of(loaded);
                tracing::info!(
                    days_left = served.seconds_left() / DAY,
                    "a certificate was read; new handshakes get it"
                );
                served.warn();
                self.served.store(Arc::new(served));
                newest.trouble = None;
            }
            Err(error) => {
                let trouble = error.to_string();
                if newest.trouble.as_ref() != Some(&trouble) {
                    tracing::error!("the certificate that was served before stays: {trouble}");
                }
                newest.trouble = Some(trouble);
            }
        }
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the served certificate ends; less than nothing when it has.
    pub(crate) fn seconds_left(&self) -> i64 {
        self.served.load().seconds_left()
    }

    pub(crate) fn handshakes(&self) -> &Handshakes {
        &self.handshakes
    }

    /// Whether all is well, in words.
    pub(crate) fn state(&self) -> Result<String, String> {
        let left = self.seconds_left();
        let trouble = self.newest().trouble.clone();
        let held = match left {
            left if left <= 0 => "the certificate has expired".to_string(),
            left => format!("the certificate holds for {}", rounded(left)),
        };
        match trouble {
            Some(trouble) => Err(format!("{held}; another one cannot be served: {trouble}")),
            None if left <= 0 => Err(held),
            None => Ok(held),
        }
    }
}

/// So many seconds in whole days, or in hours where two days are not reached. To the nearest one: a certificate of 30
/// days has 30 in its first minute too, not 29.
fn rounded(seconds: i64) -> String {
    let nearest = |unit: i64| (seconds + unit / 2).div_euclid(unit);
    if seconds.abs() < 2 * DAY {
        format!("{} hours", nearest(HOUR))
    } else {
        format!("{} days", nearest(DAY))
    }
}

/// In seconds.
const HOUR: i64 = 60 * 60;
/// In seconds.
const DAY: i64 = 24 * 60 * 60;

fn now_seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl Served {
    fn of(loaded: Loaded) -> Self {
        Served { config: loaded.config, not_after: loaded.not_after }
    }

    fn seconds_left(&self) -> i64 {
        self.not_after.saturating_sub(now_seconds())
    }

    fn warn(&self) {
        if self.seconds_left() <= 0 {
            tracing::warn!(
                "THE CERTIFICATE HAS EXPIRED: clients will refuse it; renew the file of tls.certificate"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_certificate_is_told_to_the_nearest_day() {
        assert_eq!(rounded(30 * DAY), "30 days");
        assert_eq!(rounded(30 * DAY - 1), "30 days");
        assert_eq!(rounded(29 * DAY + DAY / 3), "29 days");
        assert_eq!(rounded(2 * DAY - 1), "48 hours");
        assert_eq!(rounded(HOUR / 4), "0 hours");
        assert_eq!(rounded(-3 * DAY), "-3 days");
    }
}
