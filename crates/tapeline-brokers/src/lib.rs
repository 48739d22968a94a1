//! Where messages are kept: the message brokers.
