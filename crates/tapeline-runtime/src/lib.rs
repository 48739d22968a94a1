//! Where it runs: shard threads, inboxes, wake-ups, timers.
