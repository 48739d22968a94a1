//! Who checks a token or a key, and says what it may: JSON Web Tokens, keys that they are verified with, API keys, and what
//! has been taken back.
//!
//! Verification is pure: bytes, keys, rules and the time go in, an identity or a reason comes out. Only `files`, `fetch`,
//! `keeping` and `watch` touch the outside. What an identity may then do is the core's question, never asked here.

pub mod advice;
pub mod algorithm;
pub mod api_key;
mod authority;
pub mod claims;
mod failures;
pub mod fetch;
pub mod files;
mod generations;
mod invalid;
mod json;
mod judging;
pub mod jwks;
pub mod jws;
mod keeping;
pub mod key;
pub mod mint;
pub mod network;
pub mod pem;
mod remote;
mod revoked;
pub mod rights;
pub mod secret;
pub mod settings;
mod watch;

pub use algorithm::Algorithm;
pub use authority::{Always, Auth, AuthParts, Status};
pub use invalid::{Invalid, Reason};
pub use remote::Fetched;
pub use revoked::{REVOCATIONS_LIMIT, Revocation, What};
pub use settings::{JwtSettings, Mode, Settings};
