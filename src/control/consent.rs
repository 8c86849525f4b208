//! What a change may do although it would be refused, and how long it may wait for health first.

use std::{sync::Arc, time::Duration};

use super::{ControlError, Controller, coming::Coming};
use crate::{
    fleet::{Role, Watched},
    model::{Growth, TableState, Touched},
    table::{RoutingTable, compile},
};

/// How often it is looked whether a release that is waited for has become healthy.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a change may do although it would be refused, and how long it may wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Consent {
    /// Give more to a release without a healthy endpoint; remove a release that is of use.
    pub force: bool,
    /// Leave a release that has a weight out of a split that is set.
    pub drop: bool,
    /// How long to wait until a check has found each release healthy that gets more.
    pub wait: Duration,
}

impl From<bool> for Consent {
    fn from(force: bool) -> Self {
        Self {
            force,
            ..Self::default()
        }
    }
}

impl Controller {
    /// Waits until each release that a change would give more to has been found healthy. It holds nothing meanwhile that
    /// another change needs, so what is decided on has to be worked out again afterwards.
    pub(super) async fn wait_for_health(
        &self,
        state: &TableState,
        touched: &Touched,
        consent: Consent,
    ) -> Result<(), ControlError> {
        if consent.force || consent.wait.is_zero() {
            return Ok(());
        }
        let live = self.cell.load();
        let _coming = self.watch_growth(&live, state, touched)?;
        let all_healthy = async {
            while !self.unproven_growth(&self.cell.load(), state).is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let waited = tokio::time::timeout(consent.wait, all_healthy).await;
        waited.map_err(|_| ControlError::NotReady {
            releases: self
                .unproven_growth(&self.cell.load(), state)
                .into_iter()
                .collect(),
            nearest: None,
        })
    }

    /// Has the releases that a change gives more to looked up and checked although nothing of it is live.
    fn watch_growth(
        &self,
        live: &RoutingTable,
        state: &TableState,
        touched: &Touched,
    ) -> Result<Coming<'_>, ControlError> {
        let draft = compile(state.clone(), touched, Some(live.compiled()), &self.fleet)
            .map_err(ControlError::Invalid)?;
        let releases = draft.compiled().releases();
        let growth = Growth::between(live.compiled().spec(), &state.spec);
        let names = growth.iter().flat_map(|growth| &growth.releases);
        let watched = names.filter_map(|name| {
            let release = releases.get(name)?;
            Some(Watched {
                roster: Arc::clone(release.roster()),
                spec: Arc::clone(release.spec()),
                urls: state.endpoints(name).into(),
                role: Role::Warm,
            })
        });
        Ok(self.expect(watched.collect()))
    }
}
