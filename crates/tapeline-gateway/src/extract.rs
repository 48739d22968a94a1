//! What handlers take from a request's path and query, refused in the form of every other refusal.

use axum::extract::{FromRequestParts, OptionalFromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use tapeline_schema::ErrorCode;

use crate::error::Failure;

/// The one variable part of the path, decoded; `None` on a route without one.
pub(crate) struct Tail(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Tail {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = <Path<String> as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await;
        let path = path.map_err(|error| Failure::new(ErrorCode::BadChannel, error.body_text()))?;
        Ok(Tail(path.map(|Path(text)| text)))
    }
}

/// The query's parameters.
pub(crate) struct Asking<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asking<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let Query(asked) =
            query.map_err(|error| Failure::new(ErrorCode::InvalidRequest, error.body_text()))?;
        Ok(Asking(asked))
    }
}
