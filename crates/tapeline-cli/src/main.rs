//! The binary: serve, and the commands that talk to a hub.

fn main() {}
