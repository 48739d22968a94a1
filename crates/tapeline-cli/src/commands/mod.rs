//! The commands that talk to a running hub, one file each; they use nothing but its public doors.

mod hub_url;
mod output;
mod publish;
mod replay;
mod request;
mod socket;
mod stats;
mod sub;
mod types;

pub(crate) use publish::Pub;
pub(crate) use replay::Replay;
pub(crate) use stats::Stats;
pub(crate) use sub::Sub;
pub(crate) use types::Types;
