//! Public keys as `openssl` writes them, and damaged ones.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::mint;

/// `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 | openssl pkey -pubout`
const RSA_2048: &str = "\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAw8whZdWwccIOiTc0rP7d\
N2ZMVAof/TbGYcIu25mwLNNySadw9nRKoNZ2ZYYwSm384N13HoC9KS8RFtJtjRCc\
M3yViYjwzEOcE0o6Fuecdjl7vB0DQBRoN1eBM6ipIHPhbQoRE4bBbA/NmDq5V0dx\
wPNhq0HUM2s9qjG3rsfhVAKVWDY7cBmgjrSS7b49Wlwf6+c5gfhsciC63QQT4n8/\
XAX4KnzNMyMQqqRhxo5EhDoAaLdTZQz2z8uHKFNTMtvXg8MYnsUNePC9eEMBTTvm\
r85RjSj/ZKn2l3ZVcnRtnm03sXFruaYVk7EaymT166whsVG1nvCXERr8OS/48SRi\
IwIDAQAB";
/// The same with 1024 bits.
const RSA_1024: &str = "\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDeN+bbQkT1z+Gcx0RJDUs8gweq\
mYIdmIKsXmScPjxD9W+Tx/fXQfzRDJCpV1xiWhmsn7KsyBJ1Ii1IGL+NMjEz8wBB\
doj/x+mULSEt/lGH66Kz5xlndxJFmu5KqbD5bgd2Qf31WoMVCk+75vApHYrjL3Lp\
XITouqGdUyonxTrg4QIDAQAB";
/// `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 | openssl pkey -pubout`
const P384_KEY: &str = "\
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEpkFkuY7v/+klvHjVStKoPs7yrL1Tvncd\
BoeZJEIG7nwbN48sttcx5mlQ4oKmB7MliSmbx1fwEeBR6OZOl7Ri2+2HVZfjzQSg\
KGzOYDF/15KW2WYqQfhlR4fkJaNrZLrR";
/// `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 | openssl pkey -pubout`
const K256_KEY: &str = "\
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAENGEfzVy0Y2kVIf0P6uTqzBAVaFw1DTmu\
LEba3l2a9syTviILnsS+5gSArRQWfqsxpJ1p7VcFh1PXLiPlGmQgIA==";

fn pem(body: &str) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
}

fn read(text: &str) -> Result<Vec<Key>, String> {
    public_keys(Algorithm::ALL, text.as_bytes())
}

#[test]
fn keys_of_each_kind_are_read_several_from_one_file() {
    let made = [Algorithm::Es256, Algorithm::EdDsa].map(|algorithm| mint::pair(algorithm).unwrap().public);
    let text = [pem(RSA_2048), made.concat(), "some words\n".to_string(), pem(P384_KEY)].concat();
    let keys = read(&text).unwrap();
    let first: Vec<_> = keys.iter().map(|key| key.algorithms()[0]).collect();
    assert_eq!(first, [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Es384]);
}

#[test]
fn what_cannot_be_used_is_said() {
    let cases = [
        (pem(RSA_1024), "key 1 is an RSA key of 1024 bits, it must have 2048 to 8192"),
        (pem(K256_KEY), "key 1 is no key of a kind that is known here"),
        (String::new(), "holds no public key"),
        (mint::pair(Algorithm::EdDsa).unwrap().private, "holds no public key"),
        ("-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n".to_string(), "is no PEM file"),
    ];
    for (text, expected) in cases {
        let told = read(&text).unwrap_err();
        assert!(told.contains(expected), "{told}");
    }
    let told = public_keys(&[Algorithm::EdDsa], pem(RSA_2048).as_bytes()).unwrap_err();
    assert!(told.contains("fits none of the algorithms that are taken (EdDSA)"), "{told}");
}

#[test]
fn no_damage_makes_reading_panic_or_changes_what_a_key_is() {
    for body in [RSA_2048, P384_KEY] {
        let der = STANDARD.decode(body.replace('\n', "")).unwrap();
        for cut in 0..der.len() {
            assert!(parts(&der[..cut]).is_none(), "cut at {cut}");
        }
        assert!(parts(&[&*der, b"x"].concat()).is_none(), "something stands behind it");
        for at in 0..der.len() {
            for bit in 0..8 {
                let mut damaged = der.clone();
                damaged[at] ^= 1 << bit;
                let _ = public_key(Algorithm::ALL, &damaged);
            }
        }
    }
}
