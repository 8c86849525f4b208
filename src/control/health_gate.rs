//! The gate before a publish: it waits until the health of every release that gets more is known.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    Consent, ControlError,
    candidates::{Candidates, checks_alike},
    proposal::Proposal,
    readiness::{Growing, Readiness, ReadinessCheck, Resolved, refuse_unready},
    reconcile::Reconciler,
    resolve::RESOLVING,
    upcoming::Upcoming,
};
use crate::{
    fleet::{Fleet, Roster, RosterRole, WatchedRelease},
    model::{EndpointSpec, Growth, ReleaseName, ReleaseSpec, TableState},
    table::{LiveTable, compile},
};

/// First interval between two looks at the health; it doubles.
const FIRST_POLL: Duration = Duration::from_millis(2);
/// Longest interval.
const LONGEST_POLL: Duration = Duration::from_millis(50);
/// Time for a first check beside its own timeout: it has to be begun first.
const FIRST_CHECK_SLACK: Duration = Duration::from_secs(1);
/// Longest time that a change that was not asked to wait waits for a first check.
const LONGEST_FIRST_CHECK: Duration = Duration::from_secs(10);

/// Waits for the health of releases that a change gives more to.
#[derive(Debug, Clone, Copy)]
pub(super) struct HealthGate<'a> {
    pub(super) table: &'a LiveTable,
    pub(super) fleet: &'a Fleet,
    pub(super) reconciler: &'a Reconciler,
}

impl<'a> HealthGate<'a> {
    /// Waits until the readiness of each release that a change would give more to is known, or, where the change is to
    /// wait, until each is ready. It holds nothing meanwhile that another change needs, so the change has to be checked
    /// again afterwards. The candidates are to be kept until the change is live.
    pub(super) async fn wait(
        self,
        proposal: &Proposal,
        consent: Consent,
    ) -> Result<Candidates<'a>, ControlError> {
        let candidates = self.watch_candidates(proposal)?;
        let known = async {
            let mut pause = FIRST_POLL;
            while self.must_wait(proposal, consent, &candidates) {
                tokio::time::sleep(pause).await;
                pause = LONGEST_POLL.min(pause * 2);
            }
        };
        let limit = if consent.wait.is_zero() {
            longest_first_check(&candidates, &proposal.state)
        } else {
            consent.wait
        };
        if tokio::time::timeout(limit, known).await.is_ok() {
            return Ok(candidates);
        }
        // What has become ready in the last moment needs no refusal.
        refuse_unready(self.growing(proposal, &candidates, Resolved::All))?;
        Ok(candidates)
    }

    /// True if a change has to wait for the releases that it would give more to.
    pub(super) fn must_wait(
        self,
        proposal: &Proposal,
        consent: Consent,
        candidates: &Candidates<'_>,
    ) -> bool {
        if consent.force || proposal.is_way_back() {
            return false;
        }
        if !consent.wait.is_zero() {
            let growth = self.growing(proposal, candidates, Resolved::All);
            return growth.values().any(|one| *one != Readiness::Ready);
        }
        let growth = self.growing(proposal, candidates, Resolved::NotYet);
        let is = |readiness| growth.values().any(|one| *one == readiness);
        // With one that is not ready the change is refused whatever the others are.
        is(Readiness::Unknown) && !is(Readiness::NotReady)
    }

    fn growing(
        self,
        proposal: &Proposal,
        candidates: &Candidates<'_>,
        resolved: Resolved,
    ) -> Growing {
        let check = ReadinessCheck {
            fleet: self.fleet,
            live: &self.table.load(),
        };
        check.growing(&proposal.state, candidates, resolved)
    }

    /// Has the releases that a change gives more to resolved and checked although nothing of it is live.
    fn watch_candidates(self, proposal: &Proposal) -> Result<Candidates<'a>, ControlError> {
        // So that what was made live a moment ago is known to be watched.
        self.reconciler.reconcile();
        let Proposal { state, touched, .. } = proposal;
        let live = self.table.load();
        let draft = compile(state.clone(), touched, Some(live.compiled()), self.fleet)
            .map_err(ControlError::Invalid)?;
        let releases = draft.compiled().releases();
        let growth = Growth::between(live.compiled().spec(), &state.spec);
        let mut watched = BTreeMap::new();
        for name in growth.iter().flat_map(|growth| &growth.releases) {
            let Some(release) = releases.get(name) else {
                continue;
            };
            let candidate = WatchedRelease {
                roster: self.candidate_roster(release.roster(), release.spec(), state, name),
                spec: Arc::clone(release.spec()),
                urls: state.endpoints(name).into(),
                role: RosterRole::Candidate,
            };
            watched.insert(name.clone(), candidate);
        }
        Ok(self.candidates(watched))
    }

    fn candidates(self, watched: BTreeMap<ReleaseName, WatchedRelease>) -> Candidates<'a> {
        let roster =
            |(name, one): (&ReleaseName, &WatchedRelease)| (name.clone(), Arc::clone(&one.roster));
        let rosters = watched.iter().map(roster).collect();
        let guard = self.reconciler.watch_upcoming(Upcoming {
            rosters: watched.into_values().collect(),
            names: Vec::new(),
        });
        Candidates::new(rosters, guard)
    }

    /// The roster whose checks count for a release: its own, unless that has other endpoints, or is checked otherwise, as
    /// long as the change is not live.
    fn candidate_roster(
        self,
        own: &Arc<Roster>,
        spec: &ReleaseSpec,
        state: &TableState,
        name: &ReleaseName,
    ) -> Arc<Roster> {
        let watched = self.fleet.watched();
        let now = watched.iter().find(|one| Arc::ptr_eq(&one.roster, own));
        let is_its_own = now.map_or(!own.resolved(), |now| {
            checks_alike(&now.spec, spec) && *now.urls == *state.endpoints(name)
        });
        if is_its_own {
            return Arc::clone(own);
        }
        self.fleet.candidate(name, own.version())
    }
}

/// Longest time that the first checks of the candidates may take together, since they are made beside one another.
fn longest_first_check(candidates: &Candidates<'_>, state: &TableState) -> Duration {
    let of = |name: &ReleaseName| {
        let health = state.spec.release(name)?.health.as_ref()?;
        let is_name = |one: &EndpointSpec| one.url().ip().is_none();
        let resolving = state.endpoints(name).iter().any(is_name);
        let resolving = if resolving { RESOLVING } else { Duration::ZERO };
        Some(health.timeout.0 + resolving + FIRST_CHECK_SLACK)
    };
    let longest = candidates.names().filter_map(of).max();
    longest.unwrap_or_default().min(LONGEST_FIRST_CHECK)
}
