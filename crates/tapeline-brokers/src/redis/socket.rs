//! One connection to Redis before anything else goes over it: the socket, encrypted or not, and being let in.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tapeline_runtime::trust;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::resp::{Command, Value, take};
use super::url::Address;

/// The oldest Redis that has all we ask of it.
const OLDEST: (u32, u32) = (6, 2);

pub(super) type Reading = Box<dyn AsyncRead + Unpin>;
pub(super) type Writing = Box<dyn AsyncWrite + Unpin>;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nobody there, or nobody who answers.
    #[error("{0}")]
    Unreachable(String),
    /// Trying again will not help.
    #[error("{0}")]
    Denied(String),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        ConnectError::Unreachable(error.to_string())
    }
}

/// Who answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// `7.0.15`.
    pub version: String,
    /// Another one after every start, and another one of a replica.
    pub run_id: String,
}

/// A connection that was let in.
pub(super) struct Socket {
    pub(super) reading: Reading,
    pub(super) writing: Writing,
    pub(super) read: BytesMut,
    /// Its number in Redis; 0 if that is not told.
    pub(super) id: u64,
}

impl Socket {
    /// Connects and is let in.
    pub(super) async fn open(address: &Address, name: &str, limit: Duration) -> Result<Self, ConnectError> {
        let opening = async {
            let mut socket = connect(address).await?;
            socket.log_in(address, name).await?;
            Ok(socket)
        };
        match tokio::time::timeout(limit, opening).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ConnectError::Unreachable(format!("no answer within {} ms", limit.as_millis()))),
        }
    }

    /// Sends commands and waits for the answers.
    pub(super) async fn call(&mut self, commands: &[Command]) -> Result<Vec<Value>, ConnectError> {
        let mut out = Vec::new();
        for command in commands {
            command.pack(&mut out);
        }
        self.writing.write_all(&out).await?;
        let mut values = Vec::with_capacity(commands.len());
        while values.len() < commands.len() {
            match take(&mut self.read).map_err(|error| ConnectError::Denied(error.to_string()))? {
                Some(value) => values.push(value),
                None if self.reading.read_buf(&mut self.read).await? == 0 => {
                    return Err(ConnectError::Unreachable("redis hung up".into()));
                }
                None => {}
            }
        }
        Ok(values)
    }

    async fn log_in(&mut self, address: &Address, name: &str) -> Result<(), ConnectError> {
        let mut commands = Vec::new();
        if let Some(password) = &address.password {
            commands.push(Command::new("AUTH").args(&address.user).arg(password));
        }
        commands.push(Command::new("PING"));
        if address.db != 0 {
            commands.push(Command::new("SELECT").number(u64::from(address.db)));
        }
        for value in self.call(&commands).await? {
            if let Some(error) = value.error() {
                return Err(refusal(error));
            }
        }
        // A user who may not do these is let in all the same.
        let more = [Command::new("CLIENT SETNAME").arg(name), Command::new("CLIENT ID")];
        self.id = self.call(&more).await?.get(1).and_then(Value::number).unwrap_or_default();
        Ok(())
    }

    /// Who answers; refuses one that is too old or takes no writes.
    pub(super) async fn meet(&mut self) -> Result<Server, ConnectError> {
        let told = self.call(&[Command::new("INFO")]).await?;
        let text = told.first().and_then(Value::text).unwrap_or_default();
        let lines: HashMap<&str, &str> =
            text.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let field = |name: &str| lines.get(name).copied().unwrap_or_default();
        if field("role") == "slave" {
            return Err(ConnectError::Unreachable("READONLY it is a replica and takes no writes".into()));
        }
        let version = field("redis_version");
        let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
        if let (Some(major), Some(minor)) = (numbers.next(), numbers.next())
            && (major, minor) < OLDEST
        {
            let message = format!("it is Redis {version}; {}.{} or newer is needed", OLDEST.0, OLDEST.1);
            return Err(ConnectError::Denied(message));
        }
        Ok(Server { version: version.to_owned(), run_id: field("run_id").to_owned() })
    }
}

/// What will not change by trying again, and what may.
fn refusal(error: &str) -> ConnectError {
    let lasting = ["WRONGPASS", "NOAUTH", "NOPERM", "ERR"];
    match lasting.iter().any(|word| error.starts_with(word)) {
        true => ConnectError::Denied(error.to_owned()),
        false => ConnectError::Unreachable(error.to_owned()),
    }
}

async fn connect(address: &Address) -> Result<Socket, ConnectError> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    stream.set_nodelay(true)?;
    let (reading, writing): (Reading, Writing) = if address.tls {
        let name = ServerName::try_from(address.host.clone());
        let name = name.map_err(|_| ConnectError::Denied("the host is no name for TLS".into()))?;
        let config = trust(address.ca.as_deref()).map_err(|error| ConnectError::Denied(error.to_string()))?;
        let (reading, writing) = tokio::io::split(TlsConnector::from(config).connect(name, stream).await?);
        (Box::new(reading), Box::new(writing))
    } else {
        let (reading, writing) = stream.into_split();
        (Box::new(reading), Box::new(writing))
    };
    Ok(Socket { reading, writing, read: BytesMut::new(), id: 0 })
}
