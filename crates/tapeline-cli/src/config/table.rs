//! Every setting of the hub, declared once: from a row follow its key in the file, its variable, what
//! `tapeline config` shows, what a reload does with it, and `docs/configuration.md`.
//! A row names what is not shown of the value and, from `check`, what it must be beside its kind.
//! To add a setting, add a field to [`Config`] (or to the core's `Settings`) and a row here.

use super::value::{Given, Value};
use super::{Config, check};

/// When another value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// At the next reload.
    Reload,
    /// At the next reload, for connections that come after it.
    Connection,
    /// When the hub is started again.
    Restart,
}

impl When {
    /// For people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            When::Reload => "reload",
            When::Connection => "reload, new connections",
            When::Restart => "restart",
        }
    }
}

/// What of a value is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    /// All of it may be seen.
    No,
    /// A password in a URL.
    UrlPassword,
    /// Nothing of it may be seen, but whether there is something.
    Whole,
}

/// A setting.
pub(crate) struct Row {
    /// `limits.frame_bytes`: section and key.
    pub name: &'static str,
    pub when: When,
    secret: Secret,
    /// One sentence.
    pub doc: &'static str,
    set: fn(&mut Config, Given<'_>) -> Result<(), String>,
    copy: fn(&mut Config, &Config),
    show: fn(&Config) -> String,
}

/// A value of the same kind.
fn read_like<T: Value>(_: &T, given: Given<'_>) -> Result<T, String> {
    T::read(given)
}

macro_rules! rows {
    ($($name:literal $when:ident $secret:ident $check:ident $($field:ident).+ $doc:literal)*) => {
        /// In the order of the reference.
        pub(crate) const ROWS: &[Row] = &[$(Row {
            name: $name,
            when: When::$when,
            secret: Secret::$secret,
            doc: $doc,
            set: |config, given| {
                let value = read_like(&config.$($field).+, given)?;
                check::$check(&value)?;
                config.$($field).+ = value;
                Ok(())
            },
            copy: |to, from| to.$($field).+.clone_from(&from.$($field).+),
            show: |config| Value::show(&config.$($field).+),
        }),*];
    };
}

rows! {
    "strict_channels" Reload No any limits.strict_channels
        "Refuse names that no family declares."
    "freshness" Reload No any limits.freshness
        "Watch each channel's rhythm: those that fall out of it are published as freshness:{of} and told to their subscribers."
    "market_hours" Reload No any limits.market_hours
        "When channels have something to say, so that silence at other times is no fault: PATTERN DAYS FROM-UNTIL ZONE, such as \"market_data:US.* Mon-Fri 09:30-16:00 America/New_York\", or PATTERN closed DATE."
    "presence.events" Reload No any limits.presence_events
        "Channels, as patterns, whose comings and goings are published as presence:{of}."
    "log" Reload No any log
        "What is logged to standard error: error, warn, info, debug or trace, or a filter such as \"info,tapeline_gateway=debug\"."
    "log_format" Reload No any log_format
        "How the log is written: text for eyes, or json, one object a line."
    "serve.listen" Restart No any serve.listen
        "Addresses to listen on; port 0 takes a free one. With tls.listen alone, none without TLS."
    "serve.broker" Restart UrlPassword broker serve.broker
        "The message broker: memory://, file:DIR, redis://HOST:6379 or rediss://"
    "serve.data_dir" Restart No any serve.data_dir
        "A directory that keeps messages and the store over restarts: the same as the broker file:DIR. Empty: none."
    "storage.durability" Restart No any storage.durability
        "When what is written to the data directory is made to last beyond the machine: every-batch, a time such as 10ms, or exit."
    "storage.max_bytes" Restart No any storage.limits.max_bytes
        "Bytes that the data directory may take; 0 for what the disk has."
    "storage.reserve_bytes" Restart No any storage.limits.reserve_bytes
        "Bytes kept free for critical families when the directory is full."
    "redis.listen" Restart No any redis.listen
        "Addresses of the Redis door, for clients that speak RESP; port 0 takes a free one. With serve.demo alone, 127.0.0.1:6380 if it is free."
    "redis.intake" Restart No any redis.intake
        "Take in what others publish in Redis under the catalogue's names."
    "redis.mirror" Restart No patterns redis.mirror
        "Channels and patterns whose data is also published in Redis under their plain names."
    "serve.shards" Restart No shards serve.shards
        "Shard threads; \"auto\" is one fewer than there are cores."
    "serve.demo" Restart No any serve.demo
        "Feed a seeded synthetic market."
    "serve.demo_seed" Restart No any serve.demo_seed
        "The same seed makes the same market."
    "serve.conformance" Restart No any serve.conformance
        "Open /echo for WebSocket conformance suites."
    "feed.names" Restart No feed_names feed.names
        "Venues whose data is brought in: kraken, futu."
    "feed.urls" Restart UrlPassword any feed.urls
        "Where they are, in the same order: ws:// or wss:// (without one, Kraken's own), for futu tcp://HOST:PORT of the process that gives its order books as JSON lines, or - for standard input."
    "feed.symbols" Restart No feed_symbols feed.symbols
        "Pairs that Kraken is asked for: \"BTC/USD\"."
    "feed.depth" Restart No feed_depth feed.depth
        "Levels a side of Kraken's books: 10, 25, 100, 500 or 1000."
    "feed.channels" Restart No feed_channels feed.channels
        "What Kraken is asked for: ticker, book, trade, ohlc, instrument, status, heartbeat, and of an account executions, balances."
    "feed.levels" Restart No feed_levels feed.levels
        "Levels a side that are published as orderbook:{symbol}; all of them are in orderbook_rows:{symbol}."
    "feed.ohlc_intervals" Restart No feed_intervals feed.ohlc_intervals
        "Minutes that candles last: 1, 5, 15, 30, 60, 240, 1440, 10080, 21600."
    "feed.silence_s" Restart No some feed.silence
        "Seconds after which a book without data counts as silent although the connection lives; twice as many without a ticker of any symbol do too."
    "feed.map" Restart No any feed.map
        "Where on the hub what a venue says goes, by the rows of docs/feeds.md: { ticker = \"prices:{symbol}\", ohlc = \"off\" }."
    "feed.rename" Restart No any feed.rename
        "Other names for pairs: { \"BTC/USD\" = \"BTC-USD\" }."
    "feed.account" Restart No any feed.account
        "What an account's executions and balances are named by; empty for the feed's name."
    "feed.owner" Restart No any feed.owner
        "Who may read them: a token's subject. Empty: operators alone."
    "feed.private_url" Restart UrlPassword any feed.private_url
        "Where Kraken's account channels are."
    "feed.rest_url" Restart UrlPassword any feed.rest_url
        "Where Kraken gives tokens for them."
    "feed.token" Restart Whole any feed.token
        "A token for them, where one is made elsewhere."
    "feed.token_file" Restart No any feed.token_file
        "A file with such a token; read at each connection."
    "feed.api_key" Restart Whole any feed.api_key
        "An API key to ask for tokens with; it needs the right to use WebSockets and to read, none to trade or withdraw."
    "feed.api_secret" Restart Whole any feed.api_secret
        "Its secret, as Kraken shows it (base64)."
    "feed.api_secret_file" Restart No any feed.api_secret_file
        "A file with that secret; read when a token is asked for."
    "feed.ca" Restart No any feed.ca
        "A file with certificates (PEM) to trust at wss:// and https:// there instead of the system's."
    "http.allowed_origins" Reload No origins http.allowed_origins
        "Origins of web pages that may connect, beside the hub's own and loopback ones: \"https://desk.example\". Behind a proxy on the same machine that passes the Host on, the hub's public one too."
    "http.compression" Restart No any http.compression
        "Compress for WebSocket clients that offer permessage-deflate."
    "http.admin" Reload No any http.admin
        "Open /admin/ to requests from this machine. Switch it off, or close /admin/ there, behind a proxy on the same machine."
    "admin.listen" Restart No any admin_listen
        "Addresses for /admin/ alone, with statistics and metrics; each request there takes an [[auth.key]] or a token with admin = true. /admin/ is then served nowhere else. Elsewhere than on loopback it has the certificate of tls.certificate, if there is one."
    "audit.file" Restart No any audit_file
        "A file to which who was refused what, and who changed the hub, is appended as JSON lines. Empty: they go to the log."
    "http.trusted_proxies" Reload No any http.trusted_proxies
        "Addresses and networks of proxies that are believed when they say whose request it is. Their right-most entry that is none of these is the client, for its limits, its name and the log."
    "http.client_header" Reload No any http.client_header
        "The header by which they say it: x-forwarded-for or forwarded. They must write it themselves; the other one is not read."
    "socketio.enabled" Restart No any socketio.enabled
        "Let Socket.IO clients in at /socket.io/."
    "socketio.everybody" Restart No channels socketio.everybody
        "Channels that every connected client hears as events without asking."
    "socketio.events" Restart No events socketio.events
        "Names of events, by channel or family, where they are others than the messages' types: { market_data = \"price\" }."
    "socketio.ping_interval_ms" Restart No some socketio.ping_interval_ms
        "Milliseconds from one ping to the next."
    "socketio.ping_timeout_ms" Restart No some socketio.ping_timeout_ms
        "Milliseconds within which a client must answer a ping; who does not is closed."
    "socketio.connect_timeout_s" Restart No some socketio.connect_timeout
        "Seconds within which a client must have joined a namespace; looked at with each answer to a ping."
    "socketio.upgrade_timeout_s" Restart No some socketio.upgrade_timeout
        "Seconds that a client may take to change from polling to a WebSocket; who takes longer goes on polling."
    "socketio.polling_sessions" Restart No any socketio.polling_sessions
        "Sessions that poll at once; one more is answered 503. 0 for WebSockets alone."
    "auth.mode" Restart No any auth.mode
        "Whether everybody is asked who they are: auto (where [[auth.key]] or auth.jwt says how; else the hub is open on loopback and does not start elsewhere), on, or off, which is also written auth = \"off\"."
    "auth.anonymous" Reload No any auth.anonymous
        "Let in who brings nothing, to read what is public."
    "auth.first_message_timeout_s" Connection No some auth.first_message_timeout
        "Seconds that a connection may take to say who it is."
    "auth.failures_per_minute" Reload No any auth.failures_per_minute
        "Wrong tokens from one address that are looked at in a minute, those of limits.exempt not counted; 0 for any number."
    "auth.leeway_s" Reload No leeway auth.jwt.rules.leeway_s
        "Seconds that clocks may differ: a token is taken so long after its end and before its beginning."
    "auth.jwt.algorithms" Reload No algorithms auth.jwt.algorithms
        "Algorithms that tokens may be signed with: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA."
    "auth.jwt.secret" Reload Whole jwt_secret auth.jwt.secret
        "A secret that tokens are signed with (HS256 and its like), at least 32 bytes; `tapeline token secret` makes one."
    "auth.jwt.secret_file" Reload No any auth.jwt.secret_file
        "A file that holds such a secret; read again when it changes, as the next two."
    "auth.jwt.public_key_file" Reload No any auth.jwt.public_key_file
        "A PEM file with one or several public keys."
    "auth.jwt.jwks_file" Reload No any auth.jwt.jwks_file
        "A set of public keys (JWK Set)."
    "auth.jwt.jwks_url" Reload No keys_url auth.jwt.jwks_url
        "Where the issuer publishes such a set; fetched anew when it is due, and when a token names a key that is not in it."
    "auth.jwt.issuer" Reload No any auth.jwt.rules.issuer
        "The issuer that tokens must name (iss); empty for any."
    "auth.jwt.audience" Reload No any auth.jwt.rules.audience
        "Of these, tokens must name one as whom they are for (aud); empty for any."
    "auth.jwt.typ" Reload No any auth.jwt.rules.kind
        "The type that tokens must have (typ), such as at+jwt; empty for any."
    "auth.jwt.max_lifetime_s" Reload No any auth.jwt.rules.max_lifetime_s
        "Seconds that a token may live (exp - iat); 0 for any time."
    "tls.listen" Restart No any tls.listen
        "Addresses to listen on with TLS, for https:// and wss://."
    "tls.certificate" Connection No any tls.certificate
        "A file with the certificate chain in PEM, the hub's own first. It is read again when it changes."
    "tls.key" Connection No any tls.key
        "A file with the certificate's private key in PEM: PKCS#8, PKCS#1 or SEC1, without a password."
    "tls.min_version" Connection No any tls.min_version
        "The oldest TLS that is spoken: \"1.2\" or \"1.3\"."
    "tls.expiry_alert_days" Reload No any tls.expiry_alert_days
        "An alert is raised on alerts:tls so many days before the certificate ends."
    "limits.outbox_bytes" Reload No some limits.outbox_bytes
        "Bytes that may wait for one session."
    "limits.outbox_messages" Reload No some limits.outbox_messages
        "Messages that may wait for one session."
    "limits.outboxes_bytes" Reload No some outboxes_bytes
        "Bytes that may wait for all sessions together; \"auto\" is a quarter of the machine's memory."
    "limits.inbox_messages" Restart No some limits.inbox_messages
        "Messages that may wait in one shard's inbox."
    "limits.publish_bytes" Connection No message_bytes limits.publish_bytes
        "Bytes of one publish."
    "limits.batch_bytes" Reload No some limits.batch_bytes
        "Bytes of one batch of publishes."
    "limits.batch_items" Reload No any limits.batch_items
        "Publishes in one batch."
    "limits.frame_bytes" Connection No message_bytes limits.frame_bytes
        "Bytes of any other client frame."
    "limits.frame_fragments" Connection No some limits.frame_fragments
        "Fragments of one client message."
    "limits.connections_per_client" Reload No any limits.connections_per_client
        "Connections of one (client id, principal)."
    "limits.subscriptions_per_client" Reload No any limits.subscriptions_per_client
        "Subscriptions of one (client id, principal)."
    "limits.subscriptions_per_connection" Reload No any limits.subscriptions_per_connection
        "Subscriptions of a connection that gave no client id."
    "limits.channels_per_request" Reload No some limits.channels_per_request
        "Channels in one subscribe."
    "limits.requests_per_second" Reload No any limits.requests.per_second
        "What one connection may ask for a second, beside publishing; a subscribe counts once a channel. 0 for no limit."
    "limits.requests_burst" Reload No any limits.requests.burst
        "What one connection may ask for at once after a pause."
    "limits.publishes_per_second" Reload No any limits.publishes.per_second
        "What one connection may publish a second; 0 for no limit."
    "limits.publishes_burst" Reload No any publishes_burst
        "What one connection may publish at once after a pause; \"auto\" is as many as in a second."
    "limits.bytes_per_second" Reload No any limits.bytes.per_second
        "Bytes that one connection may send a second; who sends more is not read from for a while. 0 for no limit."
    "limits.bytes_burst" Reload No any bytes_burst
        "Bytes that it may send at once after a pause; \"auto\" is as many as in a second."
    "limits.user_messages_per_second" Reload No any limits.user_messages.per_second
        "Messages and requests of one principal a second, publishes included, over all its connections to this hub; 0 for no limit."
    "limits.user_messages_burst" Reload No any user_messages_burst
        "What it may send at once after a pause; \"auto\" is as many as in a second."
    "limits.user_bytes_per_second" Reload No any limits.user_bytes.per_second
        "Bytes that one principal may send a second, over all its connections to this hub; 0 for no limit."
    "limits.user_bytes_burst" Reload No any user_bytes_burst
        "Bytes that it may send at once after a pause; \"auto\" is as many as in a second."
    "limits.handshakes_per_second" Reload No any limits.handshakes.per_second
        "New connections of one address a second; a network of version 6, a /64, is one address. 0 for no limit."
    "limits.handshakes_burst" Reload No some limits.handshakes.burst
        "New connections of one address at once after a pause."
    "limits.handshakes_per_second_total" Reload No any limits.handshakes_total.per_second
        "New connections of all addresses a second; 0 for no limit."
    "limits.handshakes_burst_total" Reload No some limits.handshakes_total.burst
        "New connections of all addresses at once after a pause."
    "limits.connections_per_address" Reload No any limits.connections_per_address
        "Connections of one address that are open at once; 0 for no limit."
    "limits.exempt" Reload No any exempt
        "Addresses and networks whose connections and wrong tokens are not counted."
    "limits.connections" Reload No some connections
        "Sockets of all kinds together; \"auto\" is what files the process may have open."
    "limits.header_bytes" Connection No some limits.header_bytes
        "Bytes of an HTTP request's head."
    "limits.handshake_timeout_s" Connection No some limits.handshake_timeout
        "Seconds after which an HTTP request's head, the opening handshake included, must be complete."
    "limits.body_timeout_s" Reload No some limits.body_timeout
        "Seconds after which an HTTP request's body must be complete."
    "limits.body_bytes_per_second" Reload No any limits.body_pace
        "Bytes a second that a body must have brought on average once it has had as long as a head (limits.handshake_timeout_s); 0 for no limit."
    "limits.bodies_bytes" Reload No some limits.bodies_bytes
        "Bytes of HTTP bodies that are read or worked on at once."
    "limits.message_timeout_s" Reload No some limits.message_timeout
        "Seconds after which a WebSocket message that was begun must be complete."
    "limits.memory_bytes" Reload No any memory_bytes
        "Memory of the process above which new sessions and publishes are refused, the least urgent first; \"auto\" is four fifths of the machine's or the control group's. 0 for no limit."
    "limits.idle_timeout_s" Reload No any limits.idle_timeout
        "A connection that says nothing for so many seconds is closed; half-way it is sent a ping, whose answer counts."
    "limits.snapshot_sources" Reload No any limits.snapshot_sources
        "Sources whose last value is sent for a roll-up or pattern."
    "limits.unsubscribed_grace_s" Reload No any limits.unsubscribed_grace
        "Seconds after which a connection that never subscribed stops counting."
    "limits.slow_close_s" Reload No some limits.slow_close
        "A connection that accepts no byte for so many seconds while bytes wait is closed."
    "limits.heartbeat_s" Reload No some limits.heartbeat
        "A heartbeat is sent after so many seconds of silence."
    "drain.window_s" Reload No any limits.drain_window
        "When the hub stops, its connections are closed over at most so many seconds."
    "drain.flush_s" Reload No any limits.drain_flush
        "Seconds that a connection whose turn to be closed has come may take for what it is owed."
}

impl Row {
    /// Its environment variable: `TAPELINE_LIMITS__FRAME_BYTES`.
    pub(crate) fn variable(&self) -> String {
        format!("{}{}", super::layers::PREFIX, self.name.replace('.', "__").to_ascii_uppercase())
    }

    pub(super) fn set(&self, config: &mut Config, given: Given<'_>) -> Result<(), String> {
        (self.set)(config, given).map_err(|told| {
            let found = told.find(", found ").filter(|_| self.secret == Secret::Whole);
            format!("{}: {}", self.name, found.and_then(|at| told.get(..at)).unwrap_or(&told))
        })
    }

    /// Takes over the value.
    pub(crate) fn copy(&self, to: &mut Config, from: &Config) {
        (self.copy)(to, from);
    }

    /// Whether two configurations say the same.
    pub(crate) fn is_same(&self, one: &Config, other: &Config) -> bool {
        (self.show)(one) == (self.show)(other)
    }

    /// Whether nothing of the value is shown.
    pub(super) fn hides(&self, config: &Config) -> bool {
        self.secret == Secret::Whole && (self.show)(config) != "\"\""
    }

    /// The value as TOML, without what is secret.
    pub(crate) fn show(&self, config: &Config) -> String {
        let text = (self.show)(config);
        match self.secret {
            Secret::No => text,
            // Of a list, each: no URL of a feed has a space.
            Secret::UrlPassword if text.starts_with('[') => {
                text.split("\", \"").map(without_password).collect::<Vec<_>>().join("\", \"")
            }
            Secret::UrlPassword => without_password(&text),
            Secret::Whole if self.hides(config) => "\"***\"".to_string(),
            Secret::Whole => text,
        }
    }
}

/// `redis://user:***@host`: what stands between the scheme and the last `@` is a name and a password.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_string() };
    let Some((login, host)) = rest.rsplit_once('@') else { return url.to_string() };
    let user = login.split_once(':').map_or("", |(user, _)| user);
    format!("{scheme}://{user}:***@{host}")
}
