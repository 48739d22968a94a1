//! What can go wrong, in one type: each error names the thing and the limit, and says whether trying again helps.
//! The hub's own refusals keep their code.

use std::time::Duration;

use tapeline_schema::{CloseCode, ErrorCode, Retry};

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No hub can be at this URL.
    #[error("{url} is not a hub's URL: {reason}")]
    BadUrl {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody there, or nobody who speaks.
    #[error("no hub answers at {url}: {reason}")]
    NoAnswer {
        /// Where.
        url: String,
        /// What was seen instead.
        reason: String,
    },
    /// The hub refused a request.
    #[error("{message} ({code})")]
    Refused {
        /// The code's name on the wire.
        code: String,
        /// The hub's sentence.
        message: String,
    },
    /// The hub lets nobody in without a token, or not with this one.
    #[error("the hub does not take the token: {reason}; see Settings::token and TAPELINE_TOKEN")]
    Unauthorized {
        /// The hub's sentence.
        reason: String,
    },
    /// The source of tokens gave none.
    #[error("no token: {reason} (Settings::token)")]
    NoToken {
        /// Why not.
        reason: String,
    },
    /// The hub ended the connection: for good, or, with 1009, because this request was too large for it.
    #[error("the hub closed the connection: {code}, {reason}")]
    Closed {
        /// The WebSocket's close code.
        code: u16,
        /// The hub's sentence.
        reason: String,
    },
    /// Too many requests wait for an answer, most likely because the hub is out of reach.
    #[error("{what} wait for the hub, the limit is {limit} ({setting})")]
    Full {
        /// How much waits of what.
        what: String,
        /// The bound.
        limit: usize,
        /// Whose bound it is: a field of [`crate::Settings`], or what has a fixed one.
        setting: &'static str,
    },
    /// This alone is too large, so that trying again does not help.
    #[error("{what}, the limit is {limit} (Settings::{setting})")]
    TooLarge {
        /// How large what is.
        what: String,
        /// The bound in bytes.
        limit: usize,
        /// Its name in [`crate::Settings`].
        setting: &'static str,
    },
    /// No answer in time. What was asked for may have been done.
    #[error("{what} was not answered within {after:?} (Settings::request_timeout)")]
    Timeout {
        /// What was asked.
        what: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The bus is closed.
    #[error("the bus is closed")]
    BusClosed,
    /// One subscriber more than a broker of the program's own takes.
    #[error("{limit} subscribers listen, the limit (MessageBrokerConfig::max_subscribers); drop one first")]
    TooManySubscribers {
        /// The bound.
        limit: usize,
    },
    /// The data cannot be written as JSON, or what came cannot be read as what was wanted.
    #[error("{0}")]
    Data(String),
    /// The request contradicts itself.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// A refusal of the hub's by its code.
    pub(crate) fn refused(code: String, message: String) -> Self {
        if code == ErrorCode::InvalidToken.name() {
            return Error::Unauthorized { reason: message };
        }
        Error::Refused { code, message }
    }

    /// The hub's code, where the hub refused.
    pub fn code(&self) -> Option<ErrorCode> {
        let code = match self {
            Error::Refused { code, .. } => code,
            Error::Unauthorized { .. } => return Some(ErrorCode::InvalidToken),
            _ => return None,
        };
        ErrorCode::ALL.iter().copied().find(|known| known.name() == code)
    }

    /// Whether and how to try again. Codes that this version does not know are taken as final.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Refused { .. } => self.code().map_or(Retry::Never, ErrorCode::retry),
            Error::Closed { code, .. } => {
                CloseCode::from_number(*code).map_or(Retry::Later, CloseCode::retry)
            }
            Error::NoAnswer { .. } | Error::Full { .. } | Error::Timeout { .. } | Error::NoToken { .. } => {
                Retry::Later
            }
            Error::BadUrl { .. }
            | Error::Unauthorized { .. }
            | Error::TooLarge { .. }
            | Error::BusClosed
            | Error::TooManySubscribers { .. }
            | Error::Data(_)
            | Error::Invalid(_) => Retry::Never,
        }
    }
}
