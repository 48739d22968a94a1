//! The program's own log, on standard error. Its filter and its format can be changed while the program runs.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// The variable that sets the filter.
const VARIABLE: &str = "TAPELINE_LOG";

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

static LOG: OnceLock<(Handle<EnvFilter, Registry>, Handle<Lines, Registry>)> = OnceLock::new();

fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(text)
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For eyes.
    Text,
    /// One object a line, for programs: `timestamp`, `level`, `target`, `fields`.
    Json,
}

/// The lines of a format. Told of a terminal that has been closed, the layer would panic as it cannot be told there.
fn lines(format: Format) -> Lines {
    let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    match format {
        // Colours are for eyes; in a file they are noise.
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        Format::Json => lines.with_ansi(false).json().boxed(),
    }
}

/// Starts logging, by the variable where it is set.
pub(crate) fn start() {
    let given = std::env::var(VARIABLE).ok().and_then(|text| filter(&text).ok());
    let (filter, filter_handle) = reload::Layer::new(given.unwrap_or_else(|| EnvFilter::new("info")));
    let (lines, lines_handle) = reload::Layer::new(lines(Format::Text));
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    // The first call is the only one.
    let _ = LOG.set((filter_handle, lines_handle));
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

/// Logs by this filter and in this format from now on.
pub(crate) fn set(text: &str, format: Format) {
    let (Some((filters, formats)), Ok(filter)) = (LOG.get(), filter(text)) else { return };
    let changed = formats.reload(lines(format)).and_then(|()| filters.reload(filter));
    if let Err(error) = changed {
        tracing::warn!(%error, "the log could not be changed");
    }
}
