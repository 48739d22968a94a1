//! Why a credential is not believed: a short reason for who brought it, and a detail for the log and for
//! `tapeline token show`. Neither ever holds the credential.

use std::fmt;

/// What is told to who brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It is neither a token nor a key.
    Malformed,
    /// Its algorithm is not on the list.
    Algorithm,
    /// No key fits its `kid` and algorithm.
    UnknownKey,
    /// The signature is not by the key.
    Signature,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// A claim that must be there is not.
    MissingClaim,
    /// It lives longer than tokens may.
    LivesTooLong,
    /// It was issued by somebody else.
    WrongIssuer,
    /// It is for somebody else.
    WrongAudience,
    /// It is a token of another kind.
    WrongType,
    /// Its rights cannot be read.
    BadRights,
    /// It was taken back.
    Revoked,
    /// The API key is not known, or its secret is another.
    UnknownApiKey,
    /// The API key is not for this address.
    WrongAddress,
}

impl Reason {
    /// One short sentence.
    pub fn text(self) -> &'static str {
        match self {
            Reason::Malformed => "this is neither a token nor a key",
            Reason::Algorithm => "the token's algorithm is not taken here",
            Reason::UnknownKey => "the token is signed with an unknown key",
            Reason::Signature => "the token's signature is wrong",
            Reason::Expired => "the token has expired",
            Reason::NotYetValid => "the token is not valid yet",
            Reason::MissingClaim => "the token lacks a claim that it needs",
            Reason::LivesTooLong => "the token lives longer than tokens may here",
            Reason::WrongIssuer => "the token has the wrong issuer",
            Reason::WrongAudience => "the token has the wrong audience",
            Reason::WrongType => "the token is of the wrong type",
            Reason::BadRights => "the token's claim tapeline is malformed",
            Reason::Revoked => "the token was revoked",
            Reason::UnknownApiKey => "the API key is not known here",
            Reason::WrongAddress => "the API key is not for this address",
        }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// For who brought it.
    pub reason: Reason,
    /// For the log.
    pub detail: Box<str>,
}

impl Invalid {
    pub(crate) fn new(reason: Reason, detail: impl Into<Box<str>>) -> Self {
        Invalid { reason, detail: detail.into() }
    }

    pub(crate) fn malformed(detail: impl Into<Box<str>>) -> Self {
        Self::new(Reason::Malformed, detail)
    }
}

/// Reason and detail.
impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.text(), self.detail)
    }
}

impl std::error::Error for Invalid {}
