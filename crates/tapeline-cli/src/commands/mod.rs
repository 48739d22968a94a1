//! The commands that talk to a running hub, one file each.
