//! One WebSocket to a hub.

use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::hub_url::HubUrl;
use super::request::{UNAUTHORIZED, refusal_in};
use super::trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Room for the largest message a hub may be set to take.
const FRAME_BYTES: usize = 64 << 20;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why there is no connection.
pub(crate) enum Unconnected {
    /// Nobody there, or nobody who speaks; may pass.
    NoAnswer,
    /// The hub takes no connection without a token, or not with this one.
    Unauthorized(anyhow::Error),
    /// An answer that will stay the same.
    Refused(anyhow::Error),
}

impl Unconnected {
    pub(crate) fn into_error(self, hub: &HubUrl) -> anyhow::Error {
        match self {
            Unconnected::NoAnswer => hub.no_answer(),
            Unconnected::Unauthorized(error) | Unconnected::Refused(error) => error,
        }
    }
}

/// Connects and shakes hands.
pub(crate) async fn connect(hub: &HubUrl) -> Result<Socket, Unconnected> {
    connect_from(hub, None).await
}

/// Connects as a web page of this origin would.
pub(crate) async fn connect_from(hub: &HubUrl, origin: Option<&str>) -> Result<Socket, Unconnected> {
    let attempt = tokio::time::timeout(CONNECT_TIMEOUT, attempt(hub, origin)).await;
    attempt.unwrap_or(Err(Unconnected::NoAnswer))
}

async fn attempt(hub: &HubUrl, origin: Option<&str>) -> Result<Socket, Unconnected> {
    let mut request = hub.ws().into_client_request().map_err(|error| Unconnected::Refused(error.into()))?;
    if let Some(origin) = origin {
        let value =
            origin.parse().map_err(|_| Unconnected::Refused(anyhow::anyhow!("{origin:?} is no origin")))?;
        request.headers_mut().insert("origin", value);
    }
    if let Some(token) = hub.access().token().map_err(Unconnected::Refused)? {
        request.headers_mut().insert(AUTHORIZATION, bearer(&token).map_err(Unconnected::Refused)?);
    }
    let connector = match hub.is_tls() {
        true => Connector::Rustls(trust::config().map_err(|error| Unconnected::Refused(error.into()))?),
        false => Connector::Plain,
    };
    let stream = TcpStream::connect(hub.authority()).await.map_err(|_| Unconnected::NoAnswer)?;
    // Small frames leave at once; where that cannot be had they leave a little later.
    let _ = stream.set_nodelay(true);
    let config =
        WebSocketConfig::default().max_message_size(Some(FRAME_BYTES)).max_frame_size(Some(FRAME_BYTES));
    match client_async_tls_with_config(request, stream, Some(config), Some(connector)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Io(error)) => Err(match trust::distrust(hub, &error) {
            Some(told) => Unconnected::Refused(anyhow::anyhow!(told)),
            None => Unconnected::NoAnswer,
        }),
        Err(Error::ConnectionClosed) => Err(Unconnected::NoAnswer),
        // Cut off while they shook hands.
        Err(Error::Protocol(ProtocolError::HandshakeIncomplete)) => Err(Unconnected::NoAnswer),
        Err(Error::Http(response)) if may_pass(response.status()) => Err(Unconnected::NoAnswer),
        Err(Error::Http(response)) => {
            let status = response.status();
            let told = response.body().as_deref().and_then(refusal_in);
            if status.as_u16() == UNAUTHORIZED {
                let told = told.unwrap_or_else(|| format!("HTTP {status}"));
                let error = anyhow::anyhow!("refused: {told}; {}", hub.access().remedy());
                return Err(Unconnected::Unauthorized(error));
            }
            let error = match told {
                Some(told) => anyhow::anyhow!("refused: {told}"),
                None => anyhow::anyhow!(
                    "{} answers HTTP {status} to a WebSocket; is it a Tapeline hub?",
                    hub.ws()
                ),
            };
            Err(Unconnected::Refused(error))
        }
        Err(error) => Err(Unconnected::Refused(anyhow::anyhow!("{}: {error}", hub.ws()))),
    }
}

/// Whether the hub may answer otherwise soon: it is in trouble, or too many come at once.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// What logs headers leaves it out.
fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).context("the token fits no header")?;
    value.set_sensitive(true);
    Ok(value)
}
