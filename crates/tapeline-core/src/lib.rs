//! How a message moves: hub, shards, outboxes, and the traits around them.
