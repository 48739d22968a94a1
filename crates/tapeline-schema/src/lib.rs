//! What can be said: channels, families, the catalogue, codes.
//!
//! Owns the names, the built-in families and every code a client can meet, each declared once.
//! Refuses to know sockets, brokers, time and how a message is encoded: plain values, no I/O.

pub mod catalog;
pub mod codes;
pub mod events;
pub mod name;
pub mod ops;
pub mod wire;

pub use catalog::{
    Catalog, CatalogError, ChannelSpec, Compress, Delivery, Family, FamilyKeep, FamilyRemovedWhen, Keep,
    Priority, Publishers, Readers, RemovedWhen, Resolved,
};
pub use codes::{CloseCode, ErrorCode, Retry};
pub use events::{BadSchema, EventSchema, Mismatch};
pub use name::{NAME_LIMIT, NameError, PATTERN_LIMIT, Pattern, check_name};
pub use wire::{
    RATE_STEPS, RESERVED_FIELDS, RESERVED_TYPES, is_reserved_field, is_reserved_type, round_rate,
};
