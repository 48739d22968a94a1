//! Socket.IO 5: packets inside the messages of Engine.IO, read and written. Knows the shape of what is said, and which
//! names nobody may use; not who is connected, nor what an event means. Sources: the protocol's own page,
//! <https://github.com/socketio/socket.io-protocol>, and the reference parser's rules for payloads.

mod packet;
mod payload;
#[cfg(test)]
mod tests;

pub use packet::{Kind, Packet, push_head};
pub use payload::{Event, check_placeholders, event, is_reserved};

/// The namespace that everybody means who names none.
pub const MAIN: &str = "/";
/// Attachments of one packet; more is refused by the reference parser too.
pub const ATTACHMENTS: u32 = 10;

/// How a client broke the protocol. Each ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The first character is none of 0 to 6.
    #[error("a packet's type is none of 0 to 6")]
    Type,
    /// A binary packet does not say how many attachments follow.
    #[error("a binary packet does not begin with the count of its attachments")]
    Attachments,
    /// More attachments than [`ATTACHMENTS`].
    #[error("a packet announces more than {ATTACHMENTS} attachments")]
    TooManyAttachments,
    /// A namespace without an end, or too long.
    #[error("a namespace is longer than {NAMESPACE} bytes")]
    Namespace,
    /// The number of an acknowledgement is too large.
    #[error("the number of an acknowledgement is too large")]
    Ack,
    /// What follows the head is not what the packet's type carries.
    #[error("a packet's payload is not what its type carries")]
    Payload,
    /// An event under a name that clients and servers use themselves.
    #[error("an event has a reserved name")]
    Reserved,
    /// A place for an attachment that there is not.
    #[error("a placeholder names an attachment that does not come")]
    Placeholder,
}

/// Bytes of a namespace.
const NAMESPACE: usize = 128;
