//! A release in a compiled table: its spec, and the roster that serves it.

use std::sync::Arc;

use crate::{
    fleet::{BalancePolicy, Roster},
    model::{Hashed, ReleaseName, ReleaseSpec, Version},
};

/// A compiled release.
#[derive(Debug)]
pub struct Release {
    name: ReleaseName,
    spec: Arc<Hashed<ReleaseSpec>>,
    roster: Arc<Roster>,
    balance: BalancePolicy,
}

impl Release {
    pub(super) fn new(
        name: ReleaseName,
        spec: Arc<Hashed<ReleaseSpec>>,
        roster: Arc<Roster>,
    ) -> Self {
        Self {
            name,
            balance: BalancePolicy::of(&spec),
            spec,
            roster,
        }
    }

    /// Its name.
    pub fn name(&self) -> &ReleaseName {
        &self.name
    }

    /// Its version label.
    pub fn version(&self) -> &Version {
        &self.spec.version
    }

    /// Its spec.
    pub fn spec(&self) -> &Arc<Hashed<ReleaseSpec>> {
        &self.spec
    }

    /// Its endpoints.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// Choice of an endpoint for each request.
    pub fn balance(&self) -> &BalancePolicy {
        &self.balance
    }
}
