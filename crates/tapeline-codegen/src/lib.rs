//! What can be said, written for others: AsyncAPI, OpenAPI, JSON Schema, TypeScript, Python, the reference page.
//!
//! Owns how a catalogue is told in each of these. One source, the schema crate; `cargo xtask codegen` writes the files
//! from the built-in families, a running hub serves the documents of its own. Refuses to know files and sockets.

mod asyncapi;
mod files;
pub mod frames;
mod model;
mod naming;
mod openapi;
mod python;
mod reference;
mod shape;
mod typescript;

pub use asyncapi::asyncapi;
pub use files::files;
pub use model::{BadDocument, Family, Model, RemovedWhen, RollUp};
pub use openapi::openapi;
pub use python::python;
pub use typescript::typescript;

/// Who makes a document, and of which hub.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The command or program that writes it.
    pub by: &'a str,
    /// `host:port` of the hub.
    pub host: &'a str,
}
