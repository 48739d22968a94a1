//! A certificate and its key in files, and what rustls makes of them. Reading them is all that may fail.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tokio_rustls::rustls::crypto::ring::Ticketer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::ServerSessionMemoryCache;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{Error, ServerConfig};

use super::leaf;

/// What may be spoken inside, the preferred first. WebSocket is on HTTP/1.1.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// Sessions remembered for TLS 1.2 clients that take no ticket; all others carry theirs themselves.
const REMEMBERED: usize = 1_024;

/// The oldest TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2, and 1.3
    #[default]
    V1_2,
    /// 1.3 alone
    V1_3,
}

/// Where the certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain in PEM, the hub's own certificate first.
    pub certificate: PathBuf,
    /// Its key in PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// The oldest TLS that is spoken.
    pub min_version: TlsVersion,
}

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read: {error} ({setting})", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What names it.
        setting: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// What is expected is not in it.
    #[error("{} has no {what} ({setting})", file.display())]
    Missing {
        /// Which.
        file: PathBuf,
        /// What names it.
        setting: &'static str,
        /// What is missing.
        what: String,
    },
    /// They do not belong together.
    #[error("the key in {} does not belong to the certificate in {} (tls.key, tls.certificate)", key.display(), certificate.display())]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// rustls does not take them.
    #[error("the certificate in {} cannot be served: {error} (tls.certificate, tls.key)", certificate.display())]
    Refused {
        /// The certificate's file.
        certificate: PathBuf,
        /// Why.
        error: Error,
    },
}

const CERTIFICATE: &str = "tls.certificate";
const KEY: &str = "tls.key";

/// What was read.
pub(super) struct Loaded {
    pub config: Arc<ServerConfig>,
    /// Seconds since 1970.
    pub not_after: i64,
}

/// When a file was written last and how long it is; nothing where it is missing.
type FileStamp = Option<(SystemTime, u64)>;
/// What two files are told apart by from the same ones later.
pub(super) type Stamp = [FileStamp; 2];

fn read(file: &Path, setting: &'static str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|error| TlsError::Unreadable { file: file.to_path_buf(), setting, error })
}

impl TlsFiles {
    pub(super) fn stamp(&self) -> Stamp {
        let of = |file: &Path| {
            let stamp = |metadata: Metadata| Some((metadata.modified().ok()?, metadata.len()));
            std::fs::metadata(file).ok().and_then(stamp)
        };
        [of(&self.certificate), of(&self.key)]
    }

    /// Whether they can be served; nothing is changed by it.
    ///
    /// # Errors
    /// They cannot.
    pub fn check(&self) -> Result<(), TlsError> {
        self.load().map(|_| ())
    }

    pub(super) fn load(&self) -> Result<Loaded, TlsError> {
        let missing = |file: &Path, setting, what: &str| TlsError::Missing {
            file: file.to_path_buf(),
            setting,
            what: what.to_string(),
        };
        let pem = read(&self.certificate, CERTIFICATE)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let none = || missing(&self.certificate, CERTIFICATE, "certificate in PEM");
        let chain = chain.map_err(|_| none())?;
        let own = chain.first().ok_or_else(none)?;
        let no_date = || missing(&self.certificate, CERTIFICATE, "certificate whose dates can be read");
        let not_after = leaf::not_after(own).ok_or_else(no_date)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key, KEY)?).map_err(|_| {
            missing(&self.key, KEY, "private key in PEM without a password (PKCS#8, PKCS#1 or SEC1)")
        })?;
        let versions: &[_] = match self.min_version {
            TlsVersion::V1_2 => &[&TLS13, &TLS12],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_protocol_versions(versions).with_no_client_auth();
        let refused = |error| self.refused(error);
        let mut config = builder.with_single_cert(chain, key).map_err(refused)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // Made anew with each certificate: a session that began under another one is not resumed.
        config.ticketer = Ticketer::new().map_err(refused)?;
        config.session_storage = ServerSessionMemoryCache::new(REMEMBERED);
        Ok(Loaded { config: Arc::new(config), not_after })
    }

    fn refused(&self, error: Error) -> TlsError {
        let certificate = self.certificate.clone();
        match error {
            Error::InconsistentKeys(_) => TlsError::Mismatch { key: self.key.clone(), certificate },
            error => TlsError::Refused { certificate, error },
        }
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
