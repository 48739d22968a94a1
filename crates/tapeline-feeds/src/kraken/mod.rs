//! Kraken's WebSocket, version 2: what it says, and books kept right by its checksums. Facts:
//! <https://docs.kraken.com/api/docs/websocket-v2/book> and the pages beside it. It does not know what the hub or a
//! pipeline makes of that.

pub mod books;
pub mod checksum;
pub mod message;
