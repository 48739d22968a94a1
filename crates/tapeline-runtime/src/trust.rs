//! Whose certificates are believed by whoever connects to others over TLS: those of a file, else those that the system
//! believes. It connects nowhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why nobody is believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or a certificate in it.
    #[error("certificates in {}: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is none.
    #[error("no certificate to trust was found; name a file that has one")]
    Nobody,
}

/// The certificates that are believed.
///
/// # Errors
/// The file cannot be read, or there is no certificate at all.
pub fn trusted(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let found = match file {
        None => rustls_native_certs::load_native_certs().certs,
        Some(file) => {
            let bad = |reason: String| TrustError::File { file: file.to_path_buf(), reason };
            let read = CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
            let read: Result<Vec<_>, _> = read.collect();
            read.map_err(|error| bad(error.to_string()))?
        }
    };
    if found.is_empty() { Err(TrustError::Nobody) } else { Ok(found) }
}

/// How to connect believing them.
///
/// # Errors
/// As [`trusted`]; also a certificate of the file that is none.
pub fn trust(file: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore::empty();
    let found = trusted(file)?;
    match file {
        // Among a system's there may be some that nobody can read.
        None => {
            roots.add_parsable_certificates(found);
        }
        Some(file) => {
            for certificate in found {
                roots.add(certificate).map_err(|error| TrustError::File {
                    file: file.to_path_buf(),
                    reason: error.to_string(),
                })?;
            }
        }
    }
    if roots.is_empty() {
        return Err(TrustError::Nobody);
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}
