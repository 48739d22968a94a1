//! One WebSocket to a venue: opening it, with TLS where the address says so, and the task that writes to it. It knows
//! no message.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use tapeline_runtime::trust;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

/// Requests on their way to the socket; a venue that takes no more than these is as good as gone.
const SENDING: usize = 64;
/// For the last requests and the close.
const GOODBYE: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection that stands.
pub(super) struct Connection {
    pub(super) frames: SplitStream<Socket>,
    sending: mpsc::Sender<String>,
    writer: JoinHandle<()>,
}

impl Connection {
    fn new(socket: Socket) -> Self {
        let (sink, frames) = socket.split();
        let (sending, queue) = mpsc::channel(SENDING);
        Connection { frames, sending, writer: tokio::spawn(write(sink, queue)) }
    }

    /// Whether it could be queued.
    pub(super) fn send(&self, text: String) -> bool {
        self.sending.try_send(text).is_ok()
    }

    /// Sends what is queued and a close, if the other side takes them.
    pub(super) async fn close(self) {
        drop(self.sending);
        let mut writer = self.writer;
        if tokio::time::timeout(GOODBYE, &mut writer).await.is_err() {
            writer.abort();
        }
    }

    /// Ends it without waiting; the goodbye goes out beside what comes next.
    pub(super) fn abandon(self) {
        tokio::spawn(self.close());
    }
}

async fn write(mut sink: SplitSink<Socket, Message>, mut queue: mpsc::Receiver<String>) {
    while let Some(text) = queue.recv().await {
        if sink.send(Message::text(text)).await.is_err() {
            return;
        }
    }
    // The venue learns of the end either way.
    let _ = sink.close().await;
}

/// How to connect to this address: with TLS and whom to believe, or plainly.
pub(super) fn tls_for(url: &str, ca: Option<&Path>) -> Result<Option<Arc<ClientConfig>>, String> {
    if !url.starts_with("wss:") {
        return Ok(None);
    }
    trust(ca).map(Some).map_err(|error| error.to_string())
}

/// Connects and shakes hands.
pub(super) async fn connect(
    url: String,
    tls: Option<Arc<ClientConfig>>,
    frame_bytes: usize,
    within: Duration,
) -> Result<Connection, String> {
    let config =
        WebSocketConfig::default().max_message_size(Some(frame_bytes)).max_frame_size(Some(frame_bytes));
    let connector = tls.map_or(Connector::Plain, Connector::Rustls);
    // Small requests leave at once.
    let shaking = connect_async_tls_with_config(&url, Some(config), true, Some(connector));
    match tokio::time::timeout(within, shaking).await {
        Ok(Ok((socket, _))) => Ok(Connection::new(socket)),
        Ok(Err(error)) => Err(format!("cannot connect: {error}")),
        Err(_) => Err(format!("no connection within {within:?}")),
    }
}
