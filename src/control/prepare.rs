//! What is made ready before a swap: compiled forms of earlier tables, and rosters that nobody has resolved yet.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{ControlError, Controller, coming::Coming, receipt::with_rosters};
use crate::{
    fleet::{Role, Roster, Watched},
    model::{EndpointUrl, TableSpec, Touched},
    table::{Draft, Level, RoutingTable, compile},
};

/// How long a publish waits for the addresses of releases that are new.
pub(super) const RESOLVING: Duration = Duration::from_secs(2);

impl Controller {
    /// Compiles a level that is not warm any more.
    pub(super) fn ensure_compiled(
        &self,
        live: &RoutingTable,
        level: &Level,
    ) -> Result<(), ControlError> {
        if level.compiled.is_some() {
            return Ok(());
        }
        let draft = self.compile_again(live, &level.spec)?;
        self.cell.warm(level.revision, draft.compiled());
        Ok(())
    }

    /// Compiles decisions that were live once, beside the facts of now.
    pub(super) fn compile_again(
        &self,
        live: &RoutingTable,
        spec: &TableSpec,
    ) -> Result<Draft, ControlError> {
        let state = with_rosters(spec, live);
        let touched = Touched::between(&live.state(), &state);
        let draft = compile(state, &touched, Some(live.compiled()), &self.fleet)
            .map_err(ControlError::Invalid)?;
        seed_all(&draft);
        Ok(draft)
    }

    /// Waits, within a limit, until releases that the change touches have addresses. They are looked after until what is
    /// answered is dropped.
    pub(super) async fn await_rosters(
        &self,
        draft: &Draft,
        touched: &Touched,
    ) -> Option<Coming<'_>> {
        let state = draft.state();
        let releases = draft.compiled().releases();
        let mut unresolved = Vec::new();
        for name in &touched.releases {
            let Some(release) = releases
                .get(name)
                .filter(|release| !release.roster().resolved())
            else {
                continue;
            };
            if seed(release.roster(), state.endpoints(name)) {
                continue;
            }
            unresolved.push(Watched {
                roster: Arc::clone(release.roster()),
                spec: Arc::clone(release.spec()),
                urls: state.endpoints(name).into(),
                role: Role::Warm,
            });
        }
        if unresolved.is_empty() {
            return None;
        }
        let rosters: Vec<_> = unresolved
            .iter()
            .map(|watched| Arc::clone(&watched.roster))
            .collect();
        let coming = self.expect(unresolved);
        let all = async {
            for roster in &rosters {
                roster.wait_resolved().await;
            }
        };
        if tokio::time::timeout(RESOLVING, all).await.is_err() {
            tracing::warn!(
                "the endpoints of a new release could not be resolved in time; the change goes on without"
            );
        }
        Some(coming)
    }
}

/// Sets the members of a roster, if all its endpoints are addresses already.
pub(super) fn seed(roster: &Roster, urls: &[EndpointUrl]) -> bool {
    let member = |url: &EndpointUrl| Some((url.clone(), SocketAddr::new(url.ip()?, url.port())));
    let members: Option<Vec<_>> = urls.iter().map(member).collect();
    let Some(members) = members else {
        return false;
    };
    roster.set(&members);
    true
}

/// Gives rosters whose endpoints are addresses their members: that needs no look-up.
fn seed_all(draft: &Draft) {
    let state = draft.state();
    for (name, release) in draft.compiled().releases() {
        if !release.roster().resolved() {
            seed(release.roster(), state.endpoints(name));
        }
    }
}

/// Tells the rosters of releases that a change touches which endpoints they have from now on.
pub(super) fn set_rosters(draft: &Draft, touched: &Touched) {
    let state = draft.state();
    let releases = draft.compiled().releases();
    for name in &touched.releases {
        if let Some(release) = releases.get(name) {
            release.roster().tell(state.endpoints(name));
        }
    }
}
