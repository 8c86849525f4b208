//! What a request allows its change to do.

use super::{error::ApiError, params::ChangeParams};
use crate::control::Consent;

impl ChangeParams {
    /// What the change may do, and how long it may wait.
    pub(super) fn consent(&self) -> Consent {
        Consent {
            force: self.force,
            wait: self.wait.unwrap_or_default(),
            drop: self.drop,
        }
    }

    /// The same for a split that may leave out a release that has a weight.
    pub(super) fn dropping(mut self, drop: bool) -> Self {
        self.drop = drop;
        self
    }

    /// The same for a rollback, which waits for nothing.
    pub(super) fn without_wait(self) -> Result<Self, ApiError> {
        if self.wait.is_some() {
            return Err(ApiError::invalid("a rollback waits for nothing").hint("leave `wait` out"));
        }
        Ok(self)
    }
}
