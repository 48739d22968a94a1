//! The commands beside `serve`, one file or folder each; those that talk to a running hub use nothing but its public doors.

mod access;
mod backup;
mod channel;
mod completions;
mod config;
mod data;
mod dlq;
mod doctor;
mod hub_url;
mod monitor;
mod output;
mod publish;
mod replay;
mod request;
mod socket;
mod stats;
mod sub;
mod top;
mod types;

pub(crate) use backup::{Backup, Restore};
pub(crate) use channel::Channel;
pub(crate) use completions::Completions;
pub(crate) use config::ShowConfig;
pub(crate) use data::Data;
pub(crate) use dlq::Dlq;
pub(crate) use doctor::Doctor;
pub(crate) use monitor::Monitor;
pub(crate) use output::lines_shown;
pub(crate) use publish::Pub;
pub(crate) use replay::Replay;
pub(crate) use stats::Stats;
pub(crate) use sub::Sub;
pub(crate) use top::Top;
pub(crate) use types::Types;
