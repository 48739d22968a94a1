//! Why a recording cannot be played; each names the file, and the line where there is one.

use std::io;

use thiserror::Error;

/// See the module.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file could not be opened.
    #[error("cannot open {file}: {error}")]
    Open {
        /// As it was given.
        file: String,
        /// The operating system's reason.
        error: io::Error,
    },
    /// The file broke off: a fault of the disk, or compressed data that was cut or damaged.
    #[error("{file} cannot be read on after line {line}: {error}")]
    Read {
        /// As it was given.
        file: String,
        /// The last whole line.
        line: u64,
        /// The reason.
        error: io::Error,
    },
    /// A line that is not `<receive time in ns> <JSON>`, or whose JSON lacks what it needs.
    #[error("{file} line {line}: {reason}")]
    BadLine {
        /// As it was given.
        file: String,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Two recordings would go into the same channels.
    #[error("{first} and {second} both carry {symbol}; replay them one after the other, each with a suffix")]
    Collision {
        /// With its suffix.
        symbol: String,
        /// One file.
        first: String,
        /// The other file.
        second: String,
    },
}
