//! A client's TLS handshake, from the accepted socket to its end, in bounded time. Every one is counted by what came of
//! it. Who speaks plain HTTP to this port is told so in plain HTTP.

use std::io;
use std::time::Duration;

use tapeline_core::Refusal;
use tapeline_core::stats::Count;
use tapeline_schema::ErrorCode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{Error, HandshakeKind};
use tokio_rustls::server::TlsStream;

use super::Tls;
use crate::error::whole_answer;

/// What comes of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Full,
    Resumed,
    Timeout,
    Hangup,
    PlainHttp,
    NotTls,
    Incompatible,
    Alert,
    Failed,
}

impl Outcome {
    const ALL: [(Outcome, &'static str); 9] = [
        (Outcome::Full, "full"),
        (Outcome::Resumed, "resumed"),
        (Outcome::Timeout, "timeout"),
        (Outcome::Hangup, "hangup"),
        (Outcome::PlainHttp, "plain_http"),
        (Outcome::NotTls, "not_tls"),
        (Outcome::Incompatible, "incompatible"),
        (Outcome::Alert, "client_alert"),
        (Outcome::Failed, "failed"),
    ];

    fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::InvalidMessage(_)) => Outcome::NotTls,
            // No version, cipher or protocol in common.
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => Outcome::Incompatible,
            // Most often: the certificate is not believed.
            Some(Error::AlertReceived(_)) => Outcome::Alert,
            Some(_) => Outcome::Failed,
            None => Outcome::Hangup,
        }
    }
}

/// How often each happened.
#[derive(Debug, Default)]
pub(crate) struct Handshakes([Count; Outcome::ALL.len()]);

impl Handshakes {
    fn count(&self, outcome: Outcome) {
        let mut known = Outcome::ALL.iter().zip(&self.0);
        if let Some((_, count)) = known.find(|((known, _), _)| *known == outcome) {
            count.add(1);
        }
    }

    /// By outcome.
    pub(crate) fn list(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::ALL.iter().zip(&self.0).map(|((_, name), count)| (*name, count.read()))
    }
}

impl Tls {
    /// Lets a client in, or nobody.
    pub(crate) async fn shake_hands(
        &self,
        stream: TcpStream,
        within: Duration,
    ) -> Option<TlsStream<TcpStream>> {
        let shaken = tokio::time::timeout(within, self.attempt(stream)).await;
        let (outcome, stream) = shaken.unwrap_or((Outcome::Timeout, None));
        self.handshakes.count(outcome);
        stream
    }

    async fn attempt(&self, mut stream: TcpStream) -> (Outcome, Option<TlsStream<TcpStream>>) {
        // A handshake begins with 22, a method with a letter.
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1..) if first[0].is_ascii_alphabetic() => {
                tell_plain(&mut stream).await;
                return (Outcome::PlainHttp, None);
            }
            Ok(1..) => {}
            Ok(0) | Err(_) => return (Outcome::Hangup, None),
        }
        let acceptor = TlsAcceptor::from(self.served.load().config.clone());
        match acceptor.accept(stream).await {
            Ok(stream) => {
                let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
                (if resumed { Outcome::Resumed } else { Outcome::Full }, Some(stream))
            }
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                (Outcome::of(&error), None)
            }
        }
    }
}

async fn tell_plain(stream: &mut TcpStream) {
    let message = "this port speaks TLS; ask it with https:// or wss://";
    let answer = whole_answer(&Refusal::new(ErrorCode::InvalidRequest, message));
    let mut asked = [0; 4 << 10];
    // Read first: a socket that is closed with unread bytes in it would be reset, and the answer with it.
    let _ = stream.try_read(&mut asked);
    // Told or not, it goes no further.
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}
