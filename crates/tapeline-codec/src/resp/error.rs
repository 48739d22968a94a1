//! What breaks the protocol, in Redis' own words (`networking.c`); after any of these the connection is closed.

/// Why a request cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// An inline command without an end.
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    /// A count of arguments without an end.
    #[error("Protocol error: too big mbulk count string")]
    CountTooBig,
    /// A length of an argument without an end.
    #[error("Protocol error: too big bulk count string")]
    LengthTooBig,
    /// No number of arguments, or more than are taken.
    #[error("Protocol error: invalid multibulk length")]
    Count,
    /// More arguments than a stranger may bring.
    #[error("Protocol error: unauthenticated multibulk length")]
    CountOfStranger,
    /// No length of an argument, or more than is taken.
    #[error("Protocol error: invalid bulk length")]
    Length,
    /// A longer argument than a stranger may bring.
    #[error("Protocol error: unauthenticated bulk length")]
    LengthOfStranger,
    /// Something else than a bulk string in a request.
    #[error("Protocol error: expected '$', got '{}'", shown(*.0))]
    Type(u8),
    /// An inline command whose quotes do not close.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
    /// All arguments together are more than is taken; Redis has no such limit.
    #[error("Protocol error: too big request")]
    RequestTooBig,
}

/// A byte that can stand in one line of an error.
fn shown(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '?' }
}
