//! The hub's configuration: the effective values, and what the hub is made of by them.
//!
//! `table` declares every setting, `layers` finds each value (flag, variable, file, default) and where it comes from,
//! `show` writes them out. It starts nothing; `reload` in the crate's root changes a running hub.

mod check;
pub(crate) mod feed;
pub(crate) mod file;
mod layers;
mod show;
mod table;
mod tls;
mod value;

use std::net::SocketAddr;

use tapeline_brokers::embedded::Storage;
use tapeline_core::Settings;
use tapeline_core::network::Network;
use tapeline_core::settings::Rate;
use tapeline_gateway::socketio::SocketIo;
use tapeline_gateway::{Access, ClientHeader, Origins};
use tapeline_schema::{Catalog, CatalogError, Family};

use crate::log::Format;

pub(crate) use feed::FeedValues;
pub(crate) use file::{FileFamily, read_schema};
pub(crate) use layers::{Flag, Layers, Loaded};
pub(crate) use show::{effective, family_toml, key_toml, reference};
pub(crate) use table::{ROWS, When, without_password};
pub(crate) use tls::TlsValues;

/// Whom the limits of addresses do not concern by default: this machine.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1"];
/// The default broker.
const MEMORY: &str = "memory://";

/// Every effective value.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub serve: ServeValues,
    pub http: HttpValues,
    pub tls: TlsValues,
    pub socketio: SocketIo,
    pub storage: Storage,
    pub redis: RedisValues,
    pub feed: FeedValues,
    /// Where the admin interface listens apart from everything else; empty for nowhere.
    pub admin_listen: Vec<SocketAddr>,
    /// The file of the audit log; empty for the program's own log.
    pub audit_file: String,
    /// `[auth]`, with the API keys in the order of the file.
    pub auth: tapeline_auth::Settings,
    pub log: String,
    pub log_format: Format,
    /// The bounds, but for the next.
    pub limits: Settings,
    /// For all shards together; by default a quarter of the memory.
    pub outboxes_bytes: Option<usize>,
    /// By default what files the process may have open.
    pub connections: Option<usize>,
    /// By default as many as in a second; likewise the next.
    pub publishes_burst: Option<u32>,
    pub bytes_burst: Option<u32>,
    pub user_messages_burst: Option<u32>,
    pub user_bytes_burst: Option<u32>,
    /// By default four fifths of the memory.
    pub memory_bytes: Option<usize>,
    /// Whom the limits of addresses do not concern.
    pub exempt: Vec<Network>,
    /// `[[channel]]`, in the order of the file.
    pub families: Vec<FileFamily>,
}

/// `[serve]`
#[derive(Clone, Debug)]
pub(crate) struct ServeValues {
    pub listen: Vec<SocketAddr>,
    pub broker: String,
    pub data_dir: String,
    pub shards: Option<usize>,
    pub demo: bool,
    pub demo_seed: u64,
    pub conformance: bool,
}

/// `[http]`
#[derive(Clone, Debug)]
pub(crate) struct HttpValues {
    pub allowed_origins: Vec<String>,
    pub compression: bool,
    pub admin: bool,
    pub trusted_proxies: Vec<Network>,
    pub client_header: ClientHeader,
}

/// `[redis]`
#[derive(Clone, Debug)]
pub(crate) struct RedisValues {
    /// Where Redis' own clients are served; empty for nowhere.
    pub listen: Vec<SocketAddr>,
    pub intake: bool,
    pub mirror: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            serve: ServeValues {
                listen: vec![SocketAddr::from(([127, 0, 0, 1], 8_000))],
                broker: MEMORY.to_string(),
                data_dir: String::new(),
                shards: None,
                demo: false,
                demo_seed: 7,
                conformance: false,
            },
            http: HttpValues {
                allowed_origins: Vec::new(),
                compression: true,
                admin: true,
                trusted_proxies: Vec::new(),
                client_header: ClientHeader::default(),
            },
            tls: TlsValues::default(),
            socketio: SocketIo::default(),
            storage: Storage::default(),
            redis: RedisValues {
                listen: Vec::new(),
                intake: true,
                mirror: vec!["quantum_signals".to_string()],
            },
            feed: FeedValues::default(),
            admin_listen: Vec::new(),
            audit_file: String::new(),
            auth: tapeline_auth::Settings::default(),
            log: "info".to_string(),
            log_format: Format::Text,
            limits: Settings::default(),
            outboxes_bytes: None,
            connections: None,
            publishes_burst: None,
            bytes_burst: None,
            user_messages_burst: None,
            user_bytes_burst: None,
            memory_bytes: None,
            exempt: LOOPBACK.iter().filter_map(|text| text.parse().ok()).collect(),
            families: Vec::new(),
        }
    }
}

/// What a machine has to give; where nothing else is said, bounds follow from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    pub shards: usize,
    pub memory_bytes: usize,
    /// Files that the process may have open, without those that it needs for itself.
    pub sockets: usize,
}

/// A family that the catalogue does not take.
pub(crate) struct Misfit<'a> {
    pub family: &'a Family,
    /// Its line in the file, if it is from there.
    pub line: Option<usize>,
    pub error: CatalogError,
}

impl Config {
    /// The built-in families, the file's, and those added live.
    pub(crate) fn catalog<'a>(&'a self, live: &'a [Family]) -> Result<Catalog, Misfit<'a>> {
        let mut catalog = Catalog::built_in();
        let of_file = self.families.iter().map(|found| (&found.family, Some(found.line)));
        for (family, line) in of_file.chain(live.iter().map(|family| (family, None))) {
            family.spec().and_then(|spec| catalog.add(spec)).map_err(|error| Misfit {
                family,
                line,
                error,
            })?;
        }
        Ok(catalog)
    }

    /// The message broker, by its URL.
    pub(crate) fn broker_url(&self) -> String {
        match self.serve.data_dir.as_str() {
            "" => self.serve.broker.clone(),
            dir => format!("file:{dir}"),
        }
    }

    /// What is wrong with settings beside one another: the name of one of them, and why.
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.serve.listen.is_empty() && self.tls.listen.is_empty() {
            let told = "serve.listen: expected at least one address, found none";
            return Err(("serve.listen", told.to_string()));
        }
        self.check_data_dir().map_err(|told| ("serve.data_dir", told))?;
        crate::log::check(&self.log).map_err(|told| ("log", format!("log: {told}")))?;
        self.feed.check()?;
        self.tls.check()
    }

    /// What is wrong with a directory beside another message broker.
    fn check_data_dir(&self) -> Result<(), String> {
        let (dir, broker) = (&self.serve.data_dir, &self.serve.broker);
        let same = tapeline_brokers::directory_of(broker) == Some(dir);
        if dir.is_empty() || same || broker == MEMORY {
            return Ok(());
        }
        let broker = table::without_password(broker);
        Err(format!(
            "serve.data_dir ({dir}) and serve.broker ({broker}) name two message brokers; give one of them"
        ))
    }

    /// The bounds on this machine.
    pub(crate) fn settings(&self, machine: Machine) -> Settings {
        let with = |rate: Rate, burst: Option<u32>| Rate { burst: burst.unwrap_or(rate.per_second), ..rate };
        Settings {
            outboxes_bytes: self.outboxes_bytes.unwrap_or(machine.memory_bytes / 4) / machine.shards.max(1),
            token_wait: self.auth.first_message_timeout,
            connections: self.connections.unwrap_or(machine.sockets),
            memory_bytes: self.memory_bytes.unwrap_or(machine.memory_bytes / 5 * 4),
            publishes: with(self.limits.publishes, self.publishes_burst),
            bytes: with(self.limits.bytes, self.bytes_burst),
            user_messages: with(self.limits.user_messages, self.user_messages_burst),
            user_bytes: with(self.limits.user_bytes, self.user_bytes_burst),
            ..self.limits.clone()
        }
    }

    /// Who is let in by where a request comes from.
    pub(crate) fn access(&self) -> Access {
        Access {
            origins: Origins(self.http.allowed_origins.clone()),
            admin: self.http.admin,
            trusted_proxies: self.http.trusted_proxies.clone(),
            client_header: self.http.client_header,
            exempt: self.exempt.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
