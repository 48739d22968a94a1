//! The conformance suite of message brokers.
