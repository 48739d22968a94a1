//! The skimmer reads what `serde_json` reads, and survives whatever else it is given.

use proptest::prelude::*;
use serde_json::Value;

use crate::events::skim::{Member, Members};

fn skimmed(json: &[u8]) -> Option<Vec<Member<'_>>> {
    let open = json.trim_ascii_start().first().copied().filter(|byte| matches!(byte, b'{' | b'['))?;
    let mut members = Members::of(json, open)?;
    let mut all = Vec::new();
    while let Some(member) = members.next().ok()? {
        all.push(member);
        assert!(all.len() <= json.len(), "it goes on for ever");
    }
    Some(all)
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        r#"[a-c\\"\[\]{},: é]{0,6}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(r#"[a-c\\" ]{0,4}"#, inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn it_finds_the_members_that_serde_json_finds(tree in tree(), pretty in any::<bool>()) {
        let json = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
        let found = skimmed(json.as_bytes());
        let read = |member: &Member<'_>| {
            let key = [b"\"", member.key, b"\""].concat();
            let key: String = serde_json::from_slice(&key).unwrap();
            (key, serde_json::from_slice::<Value>(member.value).unwrap())
        };
        let found = found.map(|members| members.iter().map(read).collect::<Vec<_>>());
        let expected = match tree {
            Value::Object(fields) => Some(fields.into_iter().collect()),
            Value::Array(items) => Some(items.into_iter().map(|item| (String::new(), item)).collect()),
            _ => None,
        };
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn bytes_that_are_not_json_do_no_harm(bytes in r#"[\[\]{}",:\\ 1an]{0,24}"#) {
        skimmed(bytes.as_bytes());
    }
}
