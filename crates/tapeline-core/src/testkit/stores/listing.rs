//! Reading many.

use super::Open;

/// Keys come in the order of their bytes, so many at once, and a page goes on behind the last.
pub fn a_listing_is_ordered_and_goes_on_after_a_key(open: Open<'_>) {
    let subject = open();
    assert_eq!(subject.keys("", None, 10), (vec![], false));
    for name in ["b:2", "a:1", "b:10", "b:1", "B:1", "c:1", "b:1:x"] {
        subject.set(name, &format!("\"{name}\""));
    }
    let page = |after, limit| {
        let (keys, more) = subject.keys("b:", after, limit);
        (keys.join(" "), more)
    };
    assert_eq!(page(None, 10), ("b:1 b:10 b:1:x b:2".to_string(), false));
    assert_eq!(page(None, 4), ("b:1 b:10 b:1:x b:2".to_string(), false));
    assert_eq!(page(None, 2), ("b:1 b:10".to_string(), true));
    assert_eq!(page(Some("b:10"), 2), ("b:1:x b:2".to_string(), false));
    assert_eq!(page(Some("b:11"), 1), ("b:1:x".to_string(), true));
    assert_eq!(page(Some("a"), 1), ("b:1".to_string(), true));
    assert_eq!(page(Some("b:2"), 1), (String::new(), false));
    assert_eq!(page(Some("c:1"), 1), (String::new(), false));
    let listing = subject.list("b:1:", None, 1);
    assert!(listing.entries.iter().all(|(_, entry)| &*entry.value == b"\"b:1:x\"" && entry.version > 0));
    assert_eq!(subject.keys("", None, 2), (vec!["B:1".to_string(), "a:1".to_string()], true));
}

/// What a prefix holds is meant as it stands.
pub fn a_prefix_is_no_pattern(open: Open<'_>) {
    let subject = open();
    for name in ["a.c:1", "abc:1", "a+c:1", "a%c:1", "a^c:1"] {
        subject.set(name, "0");
    }
    for prefix in ["a.c", "a+c", "a%c", "a^c"] {
        assert_eq!(subject.keys(prefix, None, 10), (vec![format!("{prefix}:1")], false));
    }
}
