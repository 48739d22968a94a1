//! Names of keys: the store's have a namespace (`user:7`), Redis' need none. One without is kept in a namespace of this
//! door's, which its clients do not see.

use tapeline_core::Refusal;
use tapeline_core::store::Key;

use crate::resp::name::to_hub;

/// Where keys without a namespace are.
pub(super) const NAMESPACE: &str = "redis:";

/// The store's key for a name.
///
/// # Errors
/// `invalid_request` where no key can be called so.
pub(super) fn key(name: &[u8]) -> Result<Key, Refusal> {
    let text = to_hub(name);
    Key::parse(&text).or_else(|refusal| Key::parse(&format!("{NAMESPACE}{text}")).map_err(|_| refusal))
}

/// What clients of this door call a key, as the hub writes it.
pub(super) fn name(key: &Key) -> &str {
    key.as_str().strip_prefix(NAMESPACE).filter(|rest| Key::parse(rest).is_err()).unwrap_or(key.as_str())
}

/// Whether the key is one that has no namespace here.
pub(super) fn is_own(key: &Key) -> bool {
    name(key).len() < key.as_str().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_namespace_are_kept_in_one_and_shown_without_it() {
        for (text, kept) in [
            ("foo", "redis:foo"),
            ("user:7", "user:7"),
            (":b", "redis::b"),
            ("a:", "redis:a:"),
            ("redis:foo", "redis:foo"),
            ("redis:user:7", "redis:user:7"),
        ] {
            assert_eq!(key(text.as_bytes()).unwrap().as_str(), kept);
        }
        for (kept, text) in
            [("redis:foo", "foo"), ("user:7", "user:7"), ("redis:user:7", "redis:user:7"), ("redis:a:", "a:")]
        {
            assert_eq!(name(&Key::parse(kept).unwrap()), text);
        }
        assert_eq!(key(b"a b").unwrap().as_str(), "redis:a%20b");
        assert!(key(b"").is_err());
    }
}
