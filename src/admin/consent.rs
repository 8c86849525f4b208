//! The permissions that a request gives to its change.

use super::{error::ApiError, params::ChangeParams};
use crate::control::Consent;

impl ChangeParams {
    /// Permissions of the change, and its longest wait.
    pub(super) fn consent(&self) -> Consent {
        Consent {
            force: self.force,
            quarantined: self.force,
            data: self.force,
            wait: self.wait.unwrap_or_default(),
            drop: self.drop,
            cut: self.cut,
        }
    }

    /// With permission for a split to leave out a release that has a weight.
    pub(super) fn dropping(mut self, drop: bool) -> Self {
        self.drop = drop;
        self
    }

    /// For a rollback or an abort, which waits for no health.
    pub(super) fn without_health_wait(self) -> Result<Self, ApiError> {
        if self.wait.is_some() {
            let refusal = ApiError::invalid("a rollback or an abort waits for no health");
            return Err(refusal.hint(
                "leave `wait` out, or wait for its end with `wait=converged` or `wait=drained`",
            ));
        }
        Ok(self)
    }
}
