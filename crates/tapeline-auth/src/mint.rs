//! Making what this crate checks: tokens for development and tests, secrets, and pairs of keys. A hub never signs.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RsaEncoding, RsaKeyPair,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::algorithm::Algorithm;

/// How a P-256 key is written, before its point.
const P256_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// How an Ed25519 key is written, before its 32 bytes.
const ED25519_HEAD: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Characters of a line in a PEM file.
const PEM_WIDTH: usize = 64;

/// What tokens are signed with.
pub struct Signer {
    algorithm: Algorithm,
    material: Material,
    random: SystemRandom,
}

enum Material {
    Secret(hmac::Key),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    /// With a secret.
    ///
    /// # Errors
    /// The algorithm is none for secrets.
    pub fn secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, String> {
        let digest = match algorithm {
            Algorithm::Hs256 => hmac::HMAC_SHA256,
            Algorithm::Hs384 => hmac::HMAC_SHA384,
            Algorithm::Hs512 => hmac::HMAC_SHA512,
            other => return Err(format!("{other} is not signed with a secret; give a private key")),
        };
        let material = Material::Secret(hmac::Key::new(digest, secret));
        Ok(Signer { algorithm, material, random: SystemRandom::new() })
    }

    /// With a private key out of a PEM file (PKCS #8).
    ///
    /// # Errors
    /// It is none, or none for the algorithm.
    pub fn private_key(algorithm: Algorithm, pem: &[u8]) -> Result<Self, String> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| {
            "is no PEM file with -----BEGIN PRIVATE KEY-----; openssl pkcs8 -topk8 -nocrypt makes one of other forms"
        })?;
        let der = der.secret_pkcs8_der();
        let random = SystemRandom::new();
        let unfit = |error: ring::error::KeyRejected| format!("is no private key for {algorithm}: {error}");
        let material = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random);
                Material::Ecdsa(pair.map_err(unfit)?)
            }
            Algorithm::Es384 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der, &random);
                Material::Ecdsa(pair.map_err(unfit)?)
            }
            Algorithm::EdDsa => {
                Material::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(unfit)?)
            }
            other => {
                let padding = rsa_padding(other).ok_or_else(|| format!("is not used with {other}"))?;
                Material::Rsa(RsaKeyPair::from_pkcs8(der).map_err(unfit)?, padding)
            }
        };
        Ok(Signer { algorithm, material, random })
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn token(&self, claims: &Value, key_id: Option<&str>, kind: &str) -> Result<String, String> {
        let mut header = json!({"alg": self.algorithm.name(), "typ": kind});
        if let (Some(id), Some(members)) = (key_id, header.as_object_mut()) {
            members.insert("kid".to_string(), id.into());
        }
        self.sign(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token with this header and this payload, whatever they are.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn sign(&self, header: &[u8], payload: &[u8]) -> Result<String, String> {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let no_random = |_| "the system has no randomness".to_string();
        let signature = match &self.material {
            Material::Secret(key) => hmac::sign(key, signed.as_bytes()).as_ref().to_vec(),
            Material::Rsa(pair, padding) => {
                let mut bytes = vec![0; pair.public().modulus_len()];
                pair.sign(*padding, &self.random, signed.as_bytes(), &mut bytes).map_err(no_random)?;
                bytes
            }
            Material::Ecdsa(pair) => {
                pair.sign(&self.random, signed.as_bytes()).map_err(no_random)?.as_ref().to_vec()
            }
            Material::Ed25519(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn rsa_padding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
        _ => return None,
    })
}

/// A secret of 512 random bits, enough for each algorithm; none where the system has no randomness.
pub fn secret() -> Option<String> {
    let mut bytes = [0; 64];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// A private and a public key, as PEM.
#[derive(Clone)]
pub struct Pair {
    /// For who signs.
    pub private: String,
    /// For the hub.
    pub public: String,
}

/// Makes a pair of keys.
///
/// # Errors
/// Only for ES256 and `EdDSA` pairs are made here; `openssl genpkey` makes others.
pub fn pair(algorithm: Algorithm) -> Result<Pair, String> {
    let random = SystemRandom::new();
    let no_random = |_| "the system has no randomness".to_string();
    let (private, public) = match algorithm {
        Algorithm::Es256 => {
            let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let document = EcdsaKeyPair::generate_pkcs8(scheme, &random).map_err(no_random)?;
            let pair = EcdsaKeyPair::from_pkcs8(scheme, document.as_ref(), &random);
            let pair = pair.map_err(|error| error.to_string())?;
            (document, [P256_HEAD, pair.public_key().as_ref()].concat())
        }
        Algorithm::EdDsa => {
            let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(no_random)?;
            let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|error| error.to_string())?;
            (document, [ED25519_HEAD, pair.public_key().as_ref()].concat())
        }
        other => {
            return Err(format!(
                "no keys for {other} are made here, only for ES256 and EdDSA; see openssl genpkey"
            ));
        }
    };
    Ok(Pair { private: pem("PRIVATE KEY", private.as_ref()), public: pem("PUBLIC KEY", &public) })
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = String::new();
    for (at, character) in text.chars().enumerate() {
        if at % PEM_WIDTH == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    format!("-----BEGIN {label}-----{lines}\n-----END {label}-----\n")
}
