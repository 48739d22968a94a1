//! The workloads, one per file.

pub(crate) mod auth;
pub(crate) mod books;
pub(crate) mod channels;
pub(crate) mod deflate;
pub(crate) mod durable;
pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod ingest;
pub(crate) mod latency;
mod loops;
pub(crate) mod pipeline;
pub(crate) mod redis;
pub(crate) mod redis_publish;
pub(crate) mod replay;
pub(crate) mod slow;
pub(crate) mod storm;
pub(crate) mod tables;
pub(crate) mod tls;
