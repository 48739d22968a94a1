//! Every vector of Wycheproof's JWS collection, by the function that verifies signatures.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod shared_data;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tapeline_auth::Algorithm;
use tapeline_auth::jws::Jws;
use tapeline_auth::key::{Key, KeySet};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    number_of_tests: usize,
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    public: Option<serde_json::Value>,
    private: Option<serde_json::Value>,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    tc_id: u32,
    jws: String,
    result: String,
}

/// Where the judgement differs from the collection's, and why it must.
const DIFFERENT: &[(u32, &str)] = &[
    (346, "the key is for PS256 (its alg), the token says PS384"),
    (350, "the key is for PS256 (its alg), the token says PS384"),
    (347, "ES512 is not offered"),
    (351, "ES512 is not offered"),
    (
        372,
        "a ? stands in the header, which is no base64url (RFC 7515, 2); the signature is of the text without it",
    ),
    (373, "a ? stands in the payload, likewise"),
    (367, "the token is byte for byte that of case 357, which is valid"),
    (370, "the token is byte for byte that of case 357, which is valid"),
];

/// The group's key as the product reads it: a public one out of a set, a secret as bytes.
fn keys(group: &Group) -> KeySet {
    if let Some(public) = &group.public {
        let set = serde_json::json!({"keys": [public]}).to_string();
        return KeySet::new(tapeline_auth::jwks::read(Algorithm::ALL, set.as_bytes()).unwrap().keys);
    }
    let private = group.private.as_ref().unwrap();
    let named = |name: &str| private[name].as_str().unwrap();
    let secret = URL_SAFE_NO_PAD.decode(named("k")).unwrap();
    let algorithm: Algorithm = named("alg").parse().unwrap();
    KeySet::new(vec![Key::secret(&[algorithm], &secret).unwrap().named(named("kid"))])
}

#[test]
fn all_401_vectors_are_judged_right() {
    let Some(text) = shared_data::text("wycheproof-jws/json_web_signature_test.json") else { return };
    let vectors: Vectors = serde_json::from_str(&text).unwrap();
    let all: Vec<&Case> = vectors.test_groups.iter().flat_map(|group| &group.tests).collect();
    assert_eq!((all.len(), vectors.number_of_tests), (401, 401));
    let token = |id: u32| &*all.iter().find(|case| case.tc_id == id).unwrap().jws;
    assert_eq!((token(367), token(370)), (token(357), token(357)), "{DIFFERENT:?}");
    let mut different = Vec::new();
    for group in &vectors.test_groups {
        let keys = keys(group);
        for Case { tc_id, jws, result } in &group.tests {
            let judged = Jws::parse(jws).and_then(|jws| jws.verify(&keys));
            match (&**result, judged) {
                ("valid", Ok(_)) | ("invalid", Err(_)) => {}
                _ => different.push(*tc_id),
            }
        }
    }
    let mut expected: Vec<u32> = DIFFERENT.iter().map(|(id, _)| *id).collect();
    expected.sort_unstable();
    assert_eq!(different, expected);
}
