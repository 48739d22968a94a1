//! Tests of what can be served and what is said of the rest.

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

use super::*;

/// Files of one test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tapeline-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn files(&self, certificate: &str, key: &str) -> TlsFiles {
        let write = |name: &str, text: &str| {
            let path = self.0.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (certificate, key) = (write("chain.pem", certificate), write("key.pem", key));
        TlsFiles { certificate, key, min_version: TlsVersion::V1_2 }
    }
}

fn signed(key: &KeyPair) -> String {
    CertificateParams::new(vec!["localhost".to_string()]).unwrap().self_signed(key).unwrap().pem()
}

#[test]
fn a_certificate_of_any_usual_key_is_served() {
    let folder = Folder::new("usual");
    let keys = [
        KeyPair::generate().unwrap(),
        KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
        KeyPair::generate_for(&PKCS_ED25519).unwrap(),
    ];
    for key in keys {
        let loaded = folder.files(&signed(&key), &key.serialize_pem()).load().unwrap();
        assert_eq!(loaded.config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!(loaded.config.max_early_data_size, 0, "what is replayed would be published twice");
    }
}

#[test]
fn what_cannot_be_served_is_told_with_the_file_and_the_setting() {
    let folder = Folder::new("told");
    let (one, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let told = |certificate: &str, key: &str| {
        folder.files(certificate, key).load().err().expect("it is refused").to_string()
    };
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (certificate, key, expected) in [
        ("", "", "chain.pem has no certificate in PEM (tls.certificate)"),
        (broken, "", "chain.pem has no certificate whose dates can be read (tls.certificate)"),
        (&signed(&one), "", "key.pem has no private key in PEM"),
        (&signed(&one), &other.serialize_pem(), "does not belong to the certificate"),
    ] {
        let said = told(certificate, key);
        assert!(said.contains(expected), "{said}");
    }
    let missing = TlsFiles { key: "/no/such/key".into(), ..folder.files(&signed(&one), "") };
    let said = missing.load().err().expect("it is refused").to_string();
    assert!(said.contains("/no/such/key cannot be read") && said.contains("(tls.key)"), "{said}");
}

#[test]
fn a_file_that_is_written_again_has_another_stamp() {
    let folder = Folder::new("stamp");
    let key = KeyPair::generate().unwrap();
    let files = folder.files(&signed(&key), &key.serialize_pem());
    let before = files.stamp();
    assert_eq!(files.stamp(), before);
    std::fs::write(&files.key, "longer or shorter").unwrap();
    assert_ne!(files.stamp(), before);
    std::fs::remove_file(&files.key).unwrap();
    assert_ne!(files.stamp(), before);
}
