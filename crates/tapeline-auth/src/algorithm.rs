//! The signature algorithms that tokens may use, by their JOSE names, and the kind of key that each needs.
//!
//! A name that is not here, `none` in any case among them, is no algorithm.

use std::fmt;
use std::str::FromStr;

/// A kind of key: an algorithm fits exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A secret that both sides know.
    Secret,
    /// An RSA key.
    Rsa,
    /// A point on P-256.
    P256,
    /// A point on P-384.
    P384,
    /// An Ed25519 key.
    Ed25519,
}

macro_rules! algorithms {
    ($($algorithm:ident $name:literal $kind:ident)*) => {
        /// How a token is signed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Algorithm {
            $(#[doc = $name] $algorithm,)*
        }

        impl Algorithm {
            /// All that there are.
            pub const ALL: &[Algorithm] = &[$(Algorithm::$algorithm,)*];

            /// Its name in a token's header.
            pub fn name(self) -> &'static str {
                match self { $(Self::$algorithm => $name,)* }
            }

            /// The kind of key that it needs.
            pub fn kind(self) -> Kind {
                match self { $(Self::$algorithm => Kind::$kind,)* }
            }
        }
    };
}

algorithms! {
    Hs256 "HS256" Secret
    Hs384 "HS384" Secret
    Hs512 "HS512" Secret
    Rs256 "RS256" Rsa
    Rs384 "RS384" Rsa
    Rs512 "RS512" Rsa
    Ps256 "PS256" Rsa
    Ps384 "PS384" Rsa
    Ps512 "PS512" Rsa
    Es256 "ES256" P256
    Es384 "ES384" P384
    EdDsa "EdDSA" Ed25519
}

impl Algorithm {
    /// Those that are taken where nothing else is said.
    pub const USUAL: &[Algorithm] = &[
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::Rs256,
        Algorithm::Ps256,
        Algorithm::Es256,
        Algorithm::EdDsa,
    ];

    /// Bytes that a secret for it must have at least: as many as its digest (RFC 7518, 3.2).
    pub fn secret_bytes(self) -> usize {
        match self {
            Algorithm::Hs384 => 48,
            Algorithm::Hs512 => 64,
            _ => 32,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No algorithm is called so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAlgorithm;

impl FromStr for Algorithm {
    type Err = NoAlgorithm;

    /// Names are case-sensitive (RFC 7515, 4.1.1).
    fn from_str(name: &str) -> Result<Self, NoAlgorithm> {
        Self::ALL.iter().copied().find(|known| known.name() == name).ok_or(NoAlgorithm)
    }
}
