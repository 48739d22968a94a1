//! One WebSocket to a hub, elsewhere or in this process. It knows no frame.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tapeline_runtime::trust;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use crate::address::{Address, Place};
use crate::error::Error;
use crate::private_hub::PrivateHub;
use crate::settings::Settings;
use crate::store::refusal_in;
use crate::token::bearer;

/// Room for the largest message a hub may be set to take.
const FRAME_BYTES: usize = 64 << 20;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where sockets come from.
pub(crate) enum Target {
    Private(Arc<PrivateHub>, Place),
    Hub {
        authority: String,
        url: String,
        /// For a hub behind TLS: whom to believe.
        tls: Option<Arc<ClientConfig>>,
    },
}

impl Target {
    pub(crate) fn open(address: Address, settings: &Settings) -> Result<Self, Error> {
        Ok(match address {
            Address::Private(place) => Target::Private(PrivateHub::at(&place)?, place),
            Address::Hub { authority, url } => {
                let tls = url.starts_with("wss:").then(|| trust(settings.ca.as_deref())).transpose();
                let tls =
                    tls.map_err(|error| Error::BadUrl { url: url.clone(), reason: error.to_string() })?;
                Target::Hub { authority, url, tls }
            }
        })
    }

    /// For people.
    pub(crate) fn url(&self) -> &str {
        match self {
            Target::Private(_, place) => &place.shown,
            Target::Hub { url, .. } => url,
        }
    }

    /// Connects and shakes hands, with a token where there is one.
    pub(crate) async fn connect(&self, within: Duration, token: Option<&str>) -> Result<Socket, Error> {
        let config =
            WebSocketConfig::default().max_message_size(Some(FRAME_BYTES)).max_frame_size(Some(FRAME_BYTES));
        match self {
            Target::Private(hub, _) => {
                let stream = hub.connect().await.map_err(|error| self.no_answer(&error))?;
                let stream = MaybeTlsStream::Plain(stream);
                Ok(WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await)
            }
            Target::Hub { authority, url, tls } => {
                let connector = tls.clone().map_or(Connector::Plain, Connector::Rustls);
                let shaking = shake_hands(authority, url, token, config, connector);
                let attempt = tokio::time::timeout(within, shaking).await;
                match attempt {
                    Ok(result) => result.map_err(|error| self.unconnected(&error)),
                    Err(_) => Err(self.no_answer(&format!("no answer within {within:?}"))),
                }
            }
        }
    }

    /// A hub that refuses says why.
    fn unconnected(&self, error: &WsError) -> Error {
        let WsError::Http(response) = error else { return self.no_answer(error) };
        let told = response.body().as_deref().and_then(refusal_in);
        match told {
            Some(refusal) => refusal,
            None if response.status() == StatusCode::UNAUTHORIZED => {
                Error::Unauthorized { reason: error.to_string() }
            }
            None => self.no_answer(error),
        }
    }

    pub(crate) fn no_answer(&self, reason: &impl std::fmt::Display) -> Error {
        Error::NoAnswer { url: self.url().to_string(), reason: reason.to_string() }
    }
}

async fn shake_hands(
    authority: &str,
    url: &str,
    token: Option<&str>,
    config: WebSocketConfig,
    connector: Connector,
) -> Result<Socket, WsError> {
    let mut request = url.into_client_request()?;
    if let Some(token) = token {
        request.headers_mut().insert(AUTHORIZATION, bearer(token)?);
    }
    let stream = TcpStream::connect(authority).await?;
    // Small frames leave at once; where that cannot be had they leave a little later.
    let _ = stream.set_nodelay(true);
    let (socket, _) = client_async_tls_with_config(request, stream, Some(config), Some(connector)).await?;
    Ok(socket)
}
