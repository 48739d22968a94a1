//! RESP, the Redis serialization protocol, as a server reads and writes it: requests (arrays of bulk strings, or inline
//! lines), and the replies of versions 2 and 3. It knows no command and no connection.

mod decoder;
mod error;
mod inline;
mod number;
mod writer;

pub use decoder::{Command, Commands, Decoder, Limits};
pub use error::ProtocolError;
pub use number::parse_integer;
pub use writer::{Version, Writer};
