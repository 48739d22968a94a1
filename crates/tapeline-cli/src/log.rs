//! The program's own log, on standard error. Its filter can be changed while the program runs.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

/// The variable that sets the filter.
const VARIABLE: &str = "TAPELINE_LOG";

static FILTER: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();

fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(text)
}

/// Starts logging, by the variable where it is set.
pub(crate) fn start() {
    let given = std::env::var(VARIABLE).ok().and_then(|text| filter(&text).ok());
    let (layer, handle) = reload::Layer::new(given.unwrap_or_else(|| EnvFilter::new("info")));
    // Told of a terminal that has been closed, the layer would panic as it cannot be told there.
    // Colours are for eyes; in a file they are noise.
    let colours = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colours).log_internal_errors(false);
    tracing_subscriber::registry().with(layer).with(lines).init();
    // The first call is the only one.
    let _ = FILTER.set(handle);
}

/// Whether the text is a filter.
pub(crate) fn check(text: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let bare = !text.contains(['=', ',', '[']);
    if bare && !LEVELS.contains(&text.to_ascii_lowercase().as_str()) {
        return Err(format!("expected a filter such as info or warn,tapeline_gateway=debug, found {text:?}"));
    }
    filter(text).map(drop).map_err(|error| error.to_string())
}

/// Logs by this filter from now on.
pub(crate) fn set(text: &str) {
    if let (Some(handle), Ok(filter)) = (FILTER.get(), filter(text))
        && let Err(error) = handle.reload(filter)
    {
        tracing::warn!(%error, "the log's filter could not be changed");
    }
}
