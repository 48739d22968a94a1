//! Where keys may be fetched from.

use super::*;

#[test]
fn keys_are_fetched_by_https_or_from_this_machine() {
    let good = [
        "https://issuer.example/.well-known/jwks.json",
        "https://issuer.example:8443/keys?x=1",
        "http://127.0.0.1:9000/jwks",
        "http://localhost/jwks",
        "http://[::1]:9000/jwks",
    ];
    for url in good {
        assert_eq!(check_url(url), Ok(()), "{url}");
    }
    let bad = [
        "",
        "http://issuer.example/jwks",
        "http://10.0.0.1/jwks",
        "http://localhost.example/jwks",
        "http://127.0.0.1.example/jwks",
        "file:///etc/passwd",
        "https://",
        "/jwks",
        "https://user:password@issuer.example/",
        "ftp://issuer.example/",
    ];
    for url in bad {
        check_url(url).expect_err(url);
    }
}
