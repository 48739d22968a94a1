//! Who may come in: one file a protocol.
