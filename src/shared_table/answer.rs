//! An answer of the store that a fleet shares.

use std::pin::Pin;

use thiserror::Error;

/// An answer of the store.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Error of the store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct StoreError {
    /// The reason.
    pub reason: String,
    /// True if what was to be written may have been written all the same.
    pub is_unknown: bool,
}
