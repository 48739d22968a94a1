//! Error and close codes: each declared once, with its number, its meaning and its retry rule.
//!
//! Owns the two tables below; documents, SDK types and answers follow from them.
//! Refuses to know the sentence that goes with an error: that names the thing and the limit, on the spot.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a client does about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retry {
    /// The same again fails again; something has to change first.
    Never,
    /// The same again may succeed after a pause.
    Later,
    /// Connect anew (with a fresh token where that is the cause) and resume.
    Reconnect,
}

impl Retry {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Later => "later",
            Self::Reconnect => "reconnect",
        }
    }
}

macro_rules! error_codes {
    ($($code:ident $name:literal $status:literal $retry:ident $meaning:literal)*) => {
        /// Why a request is refused; clients decide by this name, never by the message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $(#[doc = $meaning] #[serde(rename = $name)] $code,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$code,)*];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }

            /// The HTTP status that carries it.
            pub fn status(self) -> u16 {
                match self { $(Self::$code => $status,)* }
            }

            /// Whether and how to try again.
            pub fn retry(self) -> Retry {
                match self { $(Self::$code => Retry::$retry,)* }
            }

            /// One sentence for the reference.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning,)* }
            }
        }
    };
}

error_codes! {
    BadJson              "bad_json"               400 Never "the frame or body is not JSON"
    BadChannel           "bad_channel"            400 Never "the channel name breaks the rules for names"
    BadPattern           "bad_pattern"            400 Never "the pattern breaks the rules for patterns"
    InvalidData          "invalid_data"           400 Never "the data lacks a field of its family or has it in the wrong type"
    UnknownAction        "unknown_action"         400 Never "the frame asks for an action that does not exist"
    InvalidRequest       "invalid_request"        400 Never "the request lacks something, contradicts itself or has an unknown parameter"
    ReservedType         "reserved_type"          400 Never "the type belongs to the server's own frames"
    Forbidden            "forbidden"              403 Never "the token does not allow this"
    NoValue              "no_value"               404 Later "nothing has been published on the channel yet, or nothing is kept under the key"
    NoHistory            "no_history"             404 Never "the channel keeps no history"
    NotFound             "not_found"              404 Never "there is nothing at this path"
    MethodNotAllowed     "method_not_allowed"     405 Never "the path exists, not for this method"
    Timeout              "timeout"                408 Later "the request did not come to its end in time"
    TooLarge             "too_large"              413 Never "the message or frame is larger than its limit"
    UnsupportedMediaType "unsupported_media_type" 415 Never "the body has a content type that is not taken here"
    RateLimited          "rate_limited"           429 Later "more requests in a time than the limit"
    LimitSubscriptions   "limit_subscriptions"    429 Never "more subscriptions than the limit; unsubscribe one first"
    LimitConnections     "limit_connections"      429 Later "more connections of this client than the limit"
    UndeclaredChannel    "undeclared_channel"     404 Never "no family declares the channel and only declared ones are allowed"
    UnsupportedDelivery  "unsupported_delivery"   400 Never "the family cannot give the delivery asked for"
    OwnerConflict        "owner_conflict"         409 Never "the channel belongs to another owner"
    VersionConflict      "version_conflict"       409 Never "the value is not the one that was expected; read it again first"
    InvalidToken         "invalid_token"          401 Never "the token is missing, malformed, expired or not signed by a known key"
    Degraded             "degraded"               503 Later "the broker is out of reach"
    Overloaded           "overloaded"             503 Later "the hub has no room for this now"
    StorageFull          "storage_full"           503 Later "the broker has no space left or refuses to write"
    ForeignOrigin        "foreign_origin"         403 Never "the page's origin is not on the allow-list"
    Internal             "internal"               500 Later "a fault of the hub"
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! close_codes {
    ($($code:ident $number:literal $name:literal $retry:ident $meaning:literal)*) => {
        /// Why the hub ends a WebSocket; what stands below 4000 is RFC 6455's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CloseCode {
            $(#[doc = $meaning] $code,)*
        }

        impl CloseCode {
            /// Every code, in the order of the table.
            pub const ALL: &[CloseCode] = &[$(CloseCode::$code,)*];

            /// The number in the close frame.
            pub fn number(self) -> u16 {
                match self { $(Self::$code => $number,)* }
            }

            /// The code of a number that the hub uses.
            pub fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$code),)* _ => None }
            }

            /// The name in logs, metrics and the reference.
            pub fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }

            /// Whether and how to connect again.
            pub fn retry(self) -> Retry {
                match self { $(Self::$code => Retry::$retry,)* }
            }

            /// One sentence for the reference.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning,)* }
            }
        }
    };
}

close_codes! {
    Normal         1000 "normal"          Never     "the conversation is over"
    GoingAway      1001 "going_away"      Reconnect "the hub is shutting down"
    Protocol       1002 "protocol"        Never     "a frame broke the WebSocket protocol"
    InvalidPayload 1007 "invalid_payload" Never     "a text frame was not UTF-8"
    Policy         1008 "policy"          Later     "a rule or limit forbids this connection; the same pair refused again waits longer"
    TooBig         1009 "too_big"         Never     "a frame was larger than its limit"
    Internal       1011 "internal"        Later     "a fault of the hub"
    Restart        1012 "restart"         Reconnect "the hub is restarting"
    Overloaded     1013 "overloaded"      Later     "the hub has no room for this session now"
    TokenExpired   4001 "token_expired"   Reconnect "the token expired; fetch a new one, then connect"
    Slow           4002 "slow"            Reconnect "the connection took no byte for too long; resume where it stopped"
    Revoked        4003 "revoked"         Never     "the token was revoked"
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number(), self.name())
    }
}

#[cfg(test)]
mod tests;
