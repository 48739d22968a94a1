//! Certificates of a test's own authority, a hub that serves them, and clients that believe it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Hub, PATIENCE, temporary};

/// Whom the clients believe.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// For commands that take `--ca`.
    pub(crate) file: PathBuf,
}

/// A certificate and its key in files.
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.certificate);
        let _ = std::fs::remove_file(&self.key);
    }
}

impl Pair {
    /// The words for a command line.
    pub(crate) fn words(&self) -> [&str; 6] {
        let (certificate, key) = (self.certificate.to_str(), self.key.to_str());
        let [certificate, key] = [certificate, key].map(|path| path.expect("a test's path is text"));
        ["--tls-listen", "127.0.0.1:0", "--tls-certificate", certificate, "--tls-key", key]
    }
}

/// As PEM: the certificate, then its key.
pub(crate) type Written = [String; 2];

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name is bad");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it signs itself");
        let file = temporary("ca.pem");
        std::fs::write(&file, issuer.pem()).expect("it can be written");
        Authority { issuer, file }
    }

    /// For `localhost` and 127.0.0.1, for so many days from now.
    pub(crate) fn issue(&self, days: i64) -> Written {
        let names = ["localhost", "127.0.0.1"].map(str::to_string);
        let mut params = CertificateParams::new(names).expect("the names are good");
        let now = std::time::UNIX_EPOCH.elapsed().expect("the clock is set").as_secs();
        let after = i64::try_from(now).expect("it fits") + days * 86_400;
        params.not_after =
            rcgen::date_time_ymd(1_970, 1, 1) + std::time::Duration::from_secs(after.unsigned_abs());
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it is signed");
        [certificate.pem(), key.serialize_pem()]
    }

    /// The same in files.
    pub(crate) fn pair(&self, days: i64) -> Pair {
        let pair = Pair { certificate: temporary("crt.pem"), key: temporary("key.pem") };
        pair.write(&self.issue(days));
        pair
    }

    /// A client's configuration.
    pub(crate) fn believed(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("it is a certificate");
        ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
    }
}

impl Pair {
    /// Replaces both files.
    pub(crate) fn write(&self, [certificate, key]: &Written) {
        std::fs::write(&self.certificate, certificate).expect("it can be written");
        std::fs::write(&self.key, key).expect("it can be written");
    }
}

/// A connection behind TLS that has not said anything.
pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// Shakes hands; the error is rustls's, or the socket's.
pub(crate) fn try_secure(hub: &Hub, config: &Arc<ClientConfig>) -> io::Result<Secured> {
    try_secure_at(hub.tls_address(), config)
}

/// The same with whoever speaks TLS there.
pub(crate) fn try_secure_at(address: &str, config: &Arc<ClientConfig>) -> io::Result<Secured> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").expect("it is a name");
    let mut tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(tls, stream))
}

/// The same, which must succeed.
pub(crate) fn secure(hub: &Hub, config: &Arc<ClientConfig>) -> Secured {
    try_secure(hub, config).expect("the hub is believed")
}

/// The certificate that a client is shown.
pub(crate) fn shown(secured: &Secured) -> CertificateDer<'static> {
    secured.conn.peer_certificates().expect("there is one")[0].clone().into_owned()
}

/// A test's socket, plain or behind TLS.
#[expect(clippy::large_enum_variant, reason = "there are few")]
pub(crate) enum Line {
    Plain(TcpStream),
    Tls(Secured),
}

impl Line {
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Line::Plain(stream) => stream,
            Line::Tls(secured) => &secured.sock,
        }
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Line::Plain(stream) => stream.read(buffer),
            Line::Tls(secured) => secured.read(buffer),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Line::Plain(stream) => stream.write(bytes),
            Line::Tls(secured) => secured.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Line::Plain(stream) => stream.flush(),
            Line::Tls(secured) => secured.flush(),
        }
    }
}
