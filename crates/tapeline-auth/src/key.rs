//! Keys that tokens are verified with. A key knows its kind and the algorithms that it may be used with, both from the
//! configuration: what a token says picks among them and adds none, so a public key is never taken for a secret.
//!
//! It does not know where a key came from.

use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use ring::{digest, hmac};
use tapeline_core::rights::KeyMark;

use crate::algorithm::{Algorithm, Kind};
use crate::invalid::{Invalid, Reason};

/// Keys that are tried for a token that names none.
const TRIED_LIMIT: usize = 16;
/// Bits of an RSA key.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// Why a key is not taken: the rest of a sentence that says which.
pub type Unfit = String;

/// See the module.
#[derive(Clone, Debug)]
pub struct Key {
    id: Option<Box<str>>,
    algorithms: Vec<Algorithm>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    /// One for each algorithm, in their order: the key's own part of the work is done once.
    Secret(Vec<(Algorithm, hmac::Key)>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// On P-256 or P-384, uncompressed.
    Point(Kind, Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Its kind only: a secret must not get into a log.
impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.kind())
    }
}

impl Material {
    fn kind(&self) -> Kind {
        match self {
            Material::Secret(_) => Kind::Secret,
            Material::Rsa { .. } => Kind::Rsa,
            Material::Point(kind, _) => *kind,
            Material::Ed25519(_) => Kind::Ed25519,
        }
    }
}

impl Key {
    /// A secret. It is not judged here: see [`crate::secret::check`].
    ///
    /// # Errors
    /// It is too short for all of the algorithms, or none is for secrets.
    pub fn secret(allowed: &[Algorithm], secret: &[u8]) -> Result<Self, Unfit> {
        let of_kind: Vec<Algorithm> = fitting(allowed, Kind::Secret)?;
        let long_enough =
            of_kind.iter().copied().filter(|algorithm| secret.len() >= algorithm.secret_bytes());
        let digest = |algorithm| match algorithm {
            Algorithm::Hs384 => hmac::HMAC_SHA384,
            Algorithm::Hs512 => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let keys: Vec<(Algorithm, hmac::Key)> =
            long_enough.map(|algorithm| (algorithm, hmac::Key::new(digest(algorithm), secret))).collect();
        if keys.is_empty() {
            let least = of_kind.iter().map(|algorithm| algorithm.secret_bytes()).min().unwrap_or_default();
            return Err(format!("is {} bytes, the least is {least}", secret.len()));
        }
        let algorithms = keys.iter().map(|(algorithm, _)| *algorithm).collect();
        Ok(Key { id: None, algorithms, material: Material::Secret(keys) })
    }

    /// An RSA key: modulus and exponent, most significant byte first.
    ///
    /// # Errors
    /// Its size, or none of the algorithms is for RSA.
    pub fn rsa(allowed: &[Algorithm], n: &[u8], e: &[u8]) -> Result<Self, Unfit> {
        let algorithms = fitting(allowed, Kind::Rsa)?;
        let (n, e) = (without_zeros(n), without_zeros(e));
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
            return Err(format!("is an RSA key of {bits} bits, it must have {least} to {most}"));
        }
        let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last % 2 == 1);
        if !is_odd(n) || !is_odd(e) || matches!(e, [0..=2]) || e.len() > 4 {
            return Err("is no RSA key".to_string());
        }
        let material = Material::Rsa { n: n.to_vec(), e: e.to_vec() };
        Ok(Key { id: None, algorithms, material })
    }

    /// A point on a curve, uncompressed: 4, x, y.
    ///
    /// # Errors
    /// It is no such point, or none of the algorithms is for its curve.
    pub fn point(allowed: &[Algorithm], kind: Kind, point: &[u8]) -> Result<Self, Unfit> {
        let algorithms = fitting(allowed, kind)?;
        let bytes = match kind {
            Kind::P256 => 65,
            Kind::P384 => 97,
            _ => 0,
        };
        if point.len() != bytes || point.first() != Some(&4) {
            return Err("is no uncompressed point of its curve".to_string());
        }
        Ok(Key { id: None, algorithms, material: Material::Point(kind, point.to_vec()) })
    }

    /// An Ed25519 key.
    ///
    /// # Errors
    /// Its length, or EdDSA is not among the algorithms.
    pub fn ed25519(allowed: &[Algorithm], key: &[u8]) -> Result<Self, Unfit> {
        let algorithms = fitting(allowed, Kind::Ed25519)?;
        if key.len() != 32 {
            return Err(format!("is an Ed25519 key of {} bytes, it must have 32", key.len()));
        }
        Ok(Key { id: None, algorithms, material: Material::Ed25519(key.to_vec()) })
    }

    /// The same under this name.
    #[must_use]
    pub fn named(mut self, id: &str) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Its name, where it has one.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What it may be used with.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// What tells it, its name and its uses from others, as a digest.
    pub(crate) fn fingerprint(&self, into: &mut digest::Context) {
        into.update(format!("{:?} {:?} ", self.id, self.algorithms).as_bytes());
        self.marks().for_each(|(_, mark)| into.update(&mark));
    }

    /// What signatures by it are known by, one for each of its algorithms.
    pub(crate) fn marks(&self) -> impl Iterator<Item = (Algorithm, KeyMark)> {
        self.algorithms.iter().map(|algorithm| (*algorithm, self.mark(*algorithm)))
    }

    /// What signatures by it with this algorithm are known by, whatever the key is called.
    fn mark(&self, algorithm: Algorithm) -> KeyMark {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(format!("{} {:?} ", algorithm.name(), self.material).as_bytes());
        match &self.material {
            // The tag of nothing: it changes with the secret and does not tell it.
            Material::Secret(keys) => {
                let of_it = keys.iter().filter(|(of, _)| *of == algorithm);
                of_it.for_each(|(_, key)| context.update(hmac::sign(key, b"").as_ref()));
            }
            Material::Rsa { n, e } => {
                context.update(&n.len().to_be_bytes());
                context.update(n);
                context.update(e);
            }
            Material::Point(_, bytes) | Material::Ed25519(bytes) => context.update(bytes),
        }
        let mut mark = KeyMark::default();
        mark.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        mark
    }

    /// Whether it signed the message so.
    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let public = |scheme: &'static dyn VerificationAlgorithm, bytes: &[u8]| {
            UnparsedPublicKey::new(scheme, bytes).verify(message, signature).is_ok()
        };
        match &self.material {
            Material::Secret(keys) => {
                let mut keys = keys.iter().filter(|(of, _)| *of == algorithm);
                keys.any(|(_, key)| hmac::verify(key, message, signature).is_ok())
            }
            Material::Rsa { n, e } => rsa_scheme(algorithm).is_some_and(|scheme| {
                RsaPublicKeyComponents { n, e }.verify(scheme, message, signature).is_ok()
            }),
            Material::Point(Kind::P384, bytes) => public(&ECDSA_P384_SHA384_FIXED, bytes),
            Material::Point(_, bytes) => public(&ECDSA_P256_SHA256_FIXED, bytes),
            Material::Ed25519(bytes) => public(&ED25519, bytes),
        }
    }
}

fn rsa_scheme(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn fitting(allowed: &[Algorithm], kind: Kind) -> Result<Vec<Algorithm>, Unfit> {
    let fitting: Vec<_> = allowed.iter().copied().filter(|algorithm| algorithm.kind() == kind).collect();
    if fitting.is_empty() {
        let names: Vec<_> = allowed.iter().map(|algorithm| algorithm.name()).collect();
        return Err(format!("fits none of the algorithms that are taken ({})", names.join(", ")));
    }
    Ok(fitting)
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// All keys that are believed.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// These.
    pub fn new(keys: Vec<Key>) -> Self {
        KeySet { keys }
    }

    /// Each of them.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Which of them signed the message so: the one that the token names, else one without a name; for a token that names
    /// none, any of its kind.
    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<KeyMark, Invalid> {
        let fitting = || self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        let is_named = id.is_some() && self.keys.iter().any(|key| key.id() == id);
        let mut found = false;
        let asked = fitting().filter(|key| match id {
            Some(_) if is_named => key.id() == id,
            Some(_) => key.id.is_none(),
            None => true,
        });
        for key in asked.take(TRIED_LIMIT) {
            if key.verifies(algorithm, message, signature) {
                return Ok(key.mark(algorithm));
            }
            found = true;
        }
        if !is_named && let Some(id) = id {
            let told =
                format!("no key that is called {id:?} is for {algorithm}, and none without a name fits");
            return Err(Invalid::new(Reason::UnknownKey, told));
        }
        if found {
            return Err(Invalid::new(Reason::Signature, format!("not signed so with {algorithm}")));
        }
        if self.keys.iter().any(|key| id.is_none() || key.id() == id) {
            return Err(Invalid::new(Reason::Algorithm, format!("no key is for {algorithm}")));
        }
        Err(Invalid::new(Reason::UnknownKey, "there is no key at all"))
    }
}
