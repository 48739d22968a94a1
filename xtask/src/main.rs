//! The project's own checks and test runner.

fn main() {}
