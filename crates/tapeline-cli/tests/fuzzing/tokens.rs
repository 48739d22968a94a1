//! Any text as a token, as claims that are signed, as a set of keys and as a file of them.

use tapeline_auth::claims::{Claims, Rules};
use tapeline_auth::jws::Jws;
use tapeline_auth::key::{Key, KeySet};
use tapeline_auth::mint::Signer;
use tapeline_auth::{Algorithm, jwks, pem};

/// Nobody else has it.
const SECRET: &[u8] = b"7ZdQ1nVvT0x8oK3sWq5LrJmBcHyEfGuA7ZdQ1nVvT0x8oK3sWq5LrJmBcHyEfG4t";
/// 2026-01-01T00:00:00Z
const NOW_US: u64 = 1_767_225_600_000_000;

/// The check of the target `tokens`.
pub(crate) fn check(input: &[u8]) {
    let keys = KeySet::new(vec![Key::secret(Algorithm::ALL, SECRET).expect("it is long enough")]);
    if let Ok(text) = std::str::from_utf8(input) {
        // Only a holder of the secret makes a token that is believed, and no input of a fuzzer is one.
        Claims::of_token(text, &keys, &Rules::default(), NOW_US).expect_err("nobody signed this");
        if let Ok(jws) = Jws::parse(text) {
            let _ = jws.payload();
        }
    }
    let signer = Signer::secret(Algorithm::Hs256, SECRET).expect("it is a secret");
    let (header, claims) = match input.iter().position(|byte| *byte == 0) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (&br#"{"alg":"HS256"}"#[..], input),
    };
    let token = signer.sign(header, claims).expect("there is randomness");
    if let Ok(claims) = Claims::of_token(&token, &keys, &Rules::default(), NOW_US) {
        assert!((1..=256).contains(&claims.subject.len()) && !claims.subject.contains(char::is_control));
        assert!(claims.until_us + 30_000_000 > NOW_US, "it has ended");
        assert!(claims.rights.read.len() <= tapeline_auth::rights::PATTERNS_LIMIT);
    }
    if let Ok(taken) = jwks::read(Algorithm::ALL, input) {
        let is_for_secrets = |key: &Key| key.algorithms().contains(&Algorithm::Hs256);
        assert!(!taken.keys.iter().any(is_for_secrets), "a public set holds no secret");
    }
    let _ = pem::public_keys(Algorithm::ALL, input);
}
