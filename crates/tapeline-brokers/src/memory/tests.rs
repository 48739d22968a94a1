//! Tests of the memory broker.
