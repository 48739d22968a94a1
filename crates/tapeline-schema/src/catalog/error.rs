//! Why the catalogue refuses a row or a name.
//!
//! Owns the sentences; each names the family, the thing and the rule.
//! Refuses to know where a row came from: config file, command line or client.

use thiserror::Error;

use crate::codes::{ErrorCode, Retry};
use crate::events::BadSchema;
use crate::name::NameError;

/// Why a row is not added, or a name not made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CatalogError {
    /// The template is neither a name nor a name with keys.
    #[error("template {template:?} is not NAME or NAME:{{key}} or NAME:{{key}}:{{key}}…")]
    BadTemplate {
        /// As it was given.
        template: String,
    },
    /// Two keys of a template have one name.
    #[error("template {template:?} names the key {key} twice")]
    DuplicateKey {
        /// As it was given.
        template: String,
        /// The repeated key.
        key: String,
    },
    /// A key would hide a field of the header.
    #[error("template {template:?}: a key may not be called {key}, it is a field of the header")]
    ReservedKey {
        /// As it was given.
        template: String,
        /// The key.
        key: String,
    },
    /// The row's `type` is missing or one of the server's own.
    #[error("family {family}: the type may not be {kind:?}")]
    BadType {
        /// The family.
        family: String,
        /// The type as it was given.
        kind: String,
    },
    /// The family is there already.
    #[error("family {family} is declared already")]
    DuplicateFamily {
        /// The family.
        family: String,
    },
    /// A roll-up name that cannot be one.
    #[error("family {family} cannot roll up to {name:?}: {reason}")]
    BadRollUp {
        /// The family.
        family: String,
        /// The roll-up name as it was given.
        name: String,
        /// The rule.
        reason: &'static str,
    },
    /// A roll-up takes its sources' delivery, so they have one.
    #[error("roll-up {name} would mix deliveries: {family} is {new}, its other sources are {old}")]
    MixedDelivery {
        /// The roll-up.
        name: String,
        /// The family that does not fit.
        family: String,
        /// Its delivery.
        new: &'static str,
        /// The delivery of the others.
        old: &'static str,
    },
    /// A roll-up takes its sources' priority, so they have one.
    #[error("roll-up {name} would mix priorities: {family} is {new}, its other sources are {old}")]
    MixedPriority {
        /// The roll-up.
        name: String,
        /// The family that does not fit.
        family: String,
        /// Its priority.
        new: &'static str,
        /// The priority of the others.
        old: &'static str,
    },
    /// A rate means leaving messages out, which `every` does not.
    #[error("family {family}: max_rate cannot go with delivery every")]
    RateOnEvery {
        /// The family.
        family: String,
    },
    /// A rate below the lowest step.
    #[error("family {family}: max_rate is {rate}, the least is 1 a second")]
    BadRate {
        /// The family.
        family: String,
        /// As it was given.
        rate: u32,
    },
    /// A table whose rows cannot be told apart.
    #[error("family {family}: delivery table needs a row_key")]
    NoRowKey {
        /// The family.
        family: String,
    },
    /// A setting of tables where there are no rows, or one that tables do not have.
    #[error("family {family}: {setting} {reason}")]
    NotOfTables {
        /// The family.
        family: String,
        /// The setting.
        setting: &'static str,
        /// The rule.
        reason: &'static str,
    },
    /// A last value cannot be given where nothing is kept.
    #[error("family {family}: delivery {delivery} must keep at least 1")]
    KeepsNothing {
        /// The family.
        family: String,
        /// `latest` or `table`.
        delivery: &'static str,
    },
    /// A schema that is none, or that refers to other documents.
    #[error("family {family}: {reason}")]
    BadSchema {
        /// The family.
        family: String,
        /// What is wrong with it.
        reason: BadSchema,
    },
    /// A channel name was asked for without one of its keys.
    #[error("family {family} needs the key {key}")]
    MissingKey {
        /// The family.
        family: String,
        /// The key.
        key: String,
    },
    /// A key value that the name could not be taken apart to again.
    #[error("family {family}: the key {key} may not hold a colon")]
    ColonInKey {
        /// The family.
        family: String,
        /// The key.
        key: String,
    },
    /// The name made from the keys breaks the rules for names.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl CatalogError {
    /// The code a client is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Name(error) => error.code(),
            Self::ColonInKey { .. } => ErrorCode::BadChannel,
            _ => ErrorCode::InvalidRequest,
        }
    }

    /// Whether the same can succeed later: it cannot.
    pub fn retry(&self) -> Retry {
        self.code().retry()
    }
}
