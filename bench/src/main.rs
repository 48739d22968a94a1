//! Benchmarks with a floor to compare with.

fn main() {}
