//! Every command that is understood, declared once: how many words it takes (`COMMAND INFO`'s arity: that many, or at least
//! that many where negative), where it may be given, and what follows it.

use super::Outcome;
use super::talk::Call;
use super::{about, channels, connection, store, transaction};

/// A command.
pub(super) struct Entry {
    /// In lower case.
    pub name: &'static str,
    arity: i8,
    /// It may be given before anybody has said who this is.
    pub for_strangers: bool,
    /// It may be given in RESP 2 while there are subscriptions.
    pub while_subscribed: bool,
    /// No transaction keeps it.
    pub at_once: bool,
    /// Its second word says what it does.
    pub has_subcommands: bool,
    pub run: fn(&mut Call<'_, '_>) -> Outcome,
}

impl Entry {
    /// Whether it takes so many words, its name included.
    pub(super) fn takes(&self, words: usize) -> bool {
        let arity = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { words >= arity } else { words == arity }
    }
}

const fn entry(name: &'static str, arity: i8, run: fn(&mut Call<'_, '_>) -> Outcome) -> Entry {
    Entry {
        name,
        arity,
        for_strangers: false,
        while_subscribed: false,
        at_once: false,
        has_subcommands: false,
        run,
    }
}

impl Entry {
    const fn for_strangers(self) -> Self {
        Entry { for_strangers: true, ..self }
    }

    const fn while_subscribed(self) -> Self {
        Entry { while_subscribed: true, ..self }
    }

    const fn has_subcommands(self) -> Self {
        Entry { has_subcommands: true, ..self }
    }

    const fn at_once(self) -> Self {
        Entry { at_once: true, ..self }
    }
}

/// In the order of their names.
static TABLE: &[Entry] = &[
    entry("append", 3, store::append),
    entry("auth", -2, connection::auth).for_strangers(),
    entry("client", -2, connection::client).has_subcommands(),
    entry("command", -1, about::command).has_subcommands(),
    entry("config", -2, about::config).has_subcommands(),
    entry("dbsize", 1, store::dbsize),
    entry("decr", 2, store::decr),
    entry("decrby", 3, store::decrby),
    entry("del", -2, store::del),
    entry("discard", 1, transaction::discard).at_once(),
    entry("echo", 2, connection::echo),
    entry("exec", 1, transaction::exec).at_once(),
    entry("exists", -2, store::exists),
    entry("expire", -3, store::expire),
    entry("expireat", -3, store::expireat),
    entry("expiretime", 2, store::expiretime),
    entry("flushall", -1, store::flush),
    entry("flushdb", -1, store::flush),
    entry("get", 2, store::get),
    entry("getdel", 2, store::getdel),
    entry("getrange", 4, store::getrange),
    entry("getset", 3, store::getset),
    entry("hdel", -3, store::hdel),
    entry("hello", -1, connection::hello).for_strangers(),
    entry("hexists", 3, store::hexists),
    entry("hget", 3, store::hget),
    entry("hgetall", 2, store::hgetall),
    entry("hincrby", 4, store::hincrby),
    entry("hkeys", 2, store::hkeys),
    entry("hlen", 2, store::hlen),
    entry("hmget", -3, store::hmget),
    entry("hmset", -4, store::hmset),
    entry("hscan", -3, store::hscan),
    entry("hset", -4, store::hset),
    entry("hsetnx", 4, store::hsetnx),
    entry("hstrlen", 3, store::hstrlen),
    entry("hvals", 2, store::hvals),
    entry("incr", 2, store::incr),
    entry("incrby", 3, store::incrby),
    entry("info", -1, about::info),
    entry("keys", 2, store::keys),
    entry("mget", -2, store::mget),
    entry("mset", -3, store::mset),
    entry("multi", 1, transaction::multi).at_once(),
    entry("persist", 2, store::persist),
    entry("pexpire", -3, store::pexpire),
    entry("pexpireat", -3, store::pexpireat),
    entry("pexpiretime", 2, store::pexpiretime),
    entry("ping", -1, connection::ping).while_subscribed(),
    entry("psetex", 4, store::psetex),
    entry("psubscribe", -2, channels::psubscribe).while_subscribed(),
    entry("pttl", 2, store::pttl),
    entry("publish", 3, channels::publish),
    entry("pubsub", -2, channels::pubsub).has_subcommands(),
    entry("punsubscribe", -1, channels::punsubscribe).while_subscribed(),
    entry("quit", -1, connection::quit).for_strangers().while_subscribed().at_once(),
    entry("readonly", 1, connection::readonly),
    entry("readwrite", 1, connection::readonly),
    entry("reset", 1, connection::reset).for_strangers().while_subscribed().at_once(),
    entry("scan", -2, store::scan),
    entry("select", 2, connection::select),
    entry("set", -3, store::set),
    entry("setex", 4, store::setex),
    entry("setnx", 3, store::setnx),
    entry("spublish", 3, channels::publish),
    entry("ssubscribe", -2, channels::ssubscribe).while_subscribed(),
    entry("strlen", 2, store::strlen),
    entry("subscribe", -2, channels::subscribe).while_subscribed(),
    entry("sunsubscribe", -1, channels::sunsubscribe).while_subscribed(),
    entry("time", 1, about::time),
    entry("touch", -2, store::exists),
    entry("ttl", 2, store::ttl),
    entry("type", 2, store::kind_of),
    entry("unlink", -2, store::del),
    entry("unsubscribe", -1, channels::unsubscribe).while_subscribed(),
    entry("unwatch", 1, transaction::unwatch),
    entry("wait", 3, connection::wait),
    entry("watch", -2, transaction::watch).at_once(),
];

/// The longest name of a command.
const LONGEST: usize = 16;

/// The command of this name, in whatever case.
pub(super) fn find(name: &[u8]) -> Option<&'static Entry> {
    let mut buffer = [0; LONGEST];
    let lower = buffer.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let at = TABLE.binary_search_by(|entry| entry.name.as_bytes().cmp(lower)).ok()?;
    TABLE.get(at)
}

/// The names of all commands.
pub(super) fn names() -> impl ExactSizeIterator<Item = &'static str> {
    TABLE.iter().map(|entry| entry.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_each_command_is_found() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].name < pair[1].name, "{}", pair[1].name);
        }
        for entry in TABLE {
            let upper = entry.name.to_ascii_uppercase();
            assert_eq!(find(upper.as_bytes()).map(|found| found.name), Some(entry.name));
            assert!(entry.name.len() <= LONGEST);
        }
        for name in [&b""[..], b"nothing", b"a name that is longer than any"] {
            assert!(find(name).is_none());
        }
    }

    #[test]
    fn words_are_counted_as_redis_counts_them() {
        let takes = |name: &str, words| find(name.as_bytes()).unwrap().takes(words);
        assert!(takes("publish", 3) && !takes("publish", 2) && !takes("publish", 4));
        assert!(takes("subscribe", 2) && takes("subscribe", 9) && !takes("subscribe", 1));
    }
}
