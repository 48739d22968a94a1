//! Secrets that everybody can read are none.

mod shared_data;

use tapeline_auth::secret;

#[test]
fn every_publicly_known_secret_is_refused() {
    let Some(text) = shared_data::text("jwt-weak-secrets/secrets-first-2000.txt") else { return };
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2_000, "the collection has other lines than it should");
    let long = lines.iter().filter(|line| line.len() >= secret::SECRET_BYTES).count();
    assert!(long > 900, "only {long} lines are long enough to be tried by the list");
    for line in lines {
        assert!(secret::check(line.as_bytes()).is_err(), "{line:?} is taken");
    }
}
