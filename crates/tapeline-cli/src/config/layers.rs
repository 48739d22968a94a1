//! Where a value comes from: flag, then `TAPELINE_SECTION__KEY`, then the file, then the default. What is unknown in
//! any of them is a fault, with the name that was probably meant.

use std::fmt;
use std::path::PathBuf;

use super::Config;
use super::file::File;
use super::table::{ROWS, Row};
use super::value::Given;

/// What the hub's variables begin with.
pub(super) const PREFIX: &str = "TAPELINE_";
/// Between section and key.
const SEPARATOR: &str = "__";

/// Short for the next.
const AUTH: &str = "TAPELINE_AUTH";
const AUTH_MODE: &str = "TAPELINE_AUTH__MODE";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Something that cannot be taken, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub place: String,
    pub message: String,
}

/// All that is wrong, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Faults(pub Vec<Fault>);

impl Faults {
    pub(super) fn one(place: String, message: String) -> Self {
        Faults(vec![Fault { place, message }])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Fault { place, message }) in self.0.iter().enumerate() {
            let line_break = if number == 0 { "" } else { "\n" };
            write!(f, "{line_break}{place}: {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A setting that the command line gives.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    /// `--listen`
    pub flag: &'static str,
    /// `serve.listen`
    pub name: &'static str,
    pub text: String,
}

/// What the values are read from, so that they can be read again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    pub path: Option<PathBuf>,
    pub variables: Vec<(String, String)>,
    pub flags: Vec<Flag>,
}

/// The effective values, and where each of [`ROWS`] comes from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub config: Config,
    pub origins: Vec<Origin>,
}

impl Default for Loaded {
    fn default() -> Self {
        Loaded { config: Config::default(), origins: vec![Origin::Default; ROWS.len()] }
    }
}

impl Loaded {
    /// Sets the row of this number.
    pub(super) fn set(&mut self, at: usize, given: Given<'_>, origin: Origin) -> Result<(), String> {
        let Some(row) = ROWS.get(at) else { return Ok(()) };
        row.set(&mut self.config, given)?;
        if let Some(known) = self.origins.get_mut(at) {
            *known = origin;
        }
        Ok(())
    }

    fn origin(&self, name: &str) -> &Origin {
        let at = ROWS.iter().position(|row| row.name == name);
        at.and_then(|at| self.origins.get(at)).unwrap_or(&Origin::Default)
    }

    fn set_text(&mut self, name: &str, text: &str, origin: Origin) -> Result<(), String> {
        let at = ROWS.iter().position(|row| row.name == name);
        self.set(at.unwrap_or(usize::MAX), Given::Text(text), origin)
    }
}

impl Layers {
    /// The file and the flags of a command line, and this process's variables.
    pub(crate) fn new(path: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        let ours = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
            Some((name, value.to_string_lossy().into_owned()))
        };
        let mut variables: Vec<_> = std::env::vars_os().filter_map(ours).collect();
        variables.sort();
        Layers { path, variables, flags }
    }

    /// Reads them all; the file anew each time.
    pub(crate) fn load(&self) -> Result<Loaded, Faults> {
        let mut loaded = Loaded::default();
        let mut faults = Vec::new();
        if let Some(path) = &self.path {
            let applied = File::open(path).and_then(|file| file.apply(&mut loaded));
            faults.extend(applied.err().map(|more| more.0).into_iter().flatten());
        }
        for (variable, text) in &self.variables {
            let outcome = match named(variable) {
                Ok(Some(row)) => loaded.set_text(row.name, text, Origin::Variable(variable.clone())),
                Ok(None) => Ok(()),
                Err(told) => Err(told),
            };
            faults.extend(outcome.err().map(|message| Fault { place: variable.clone(), message }));
        }
        for Flag { flag, name, text } in &self.flags {
            let outcome = loaded.set_text(name, text, Origin::Flag(flag));
            faults.extend(outcome.err().map(|message| Fault { place: (*flag).to_string(), message }));
        }
        // Who asks for TLS and says nothing else does not want a port without it.
        if !loaded.config.tls.listen.is_empty() && loaded.origin("serve.listen") == &Origin::Default {
            loaded.config.serve.listen.clear();
        }
        loaded.config.auth.exempt = loaded.config.exempt.clone();
        if let Err((name, message)) = loaded.config.check() {
            faults.push(Fault { place: loaded.origin(name).to_string(), message });
        }
        if faults.is_empty() { Ok(loaded) } else { Err(Faults(faults)) }
    }
}

/// The row of a variable. Those of other programs may begin alike (an orchestrator's `TAPELINE_PORT`); only what has a
/// section, or is a slip away from a setting, is taken for ours.
fn named(variable: &str) -> Result<Option<&'static Row>, String> {
    // As `auth = "off"` in the file.
    let full = if variable == AUTH { AUTH_MODE } else { variable };
    if let Some(row) = ROWS.iter().find(|row| row.variable() == full) {
        return Ok(Some(row));
    }
    let known: Vec<String> = ROWS.iter().map(Row::variable).collect();
    let hint = meant(variable, known.iter().map(String::as_str));
    let ours = variable.trim_start_matches(PREFIX).contains(SEPARATOR) || !hint.is_empty();
    if ours { Err(format!("no setting is called so{hint}")) } else { Ok(None) }
}

/// `; did you mean limits.frame_bytes?`, or nothing.
pub(super) fn meant<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> String {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_string();
    let distance = |name: &str| match last(name) == last(typed) {
        // The right key in the wrong section.
        true => 1,
        false => strsim::osa_distance(name, typed),
    };
    let close = known.map(|name| (distance(name), name)).filter(|(slips, name)| *slips * 5 <= name.len());
    close.min().map(|(_, name)| format!("; did you mean {name}?")).unwrap_or_default()
}
