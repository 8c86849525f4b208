//! What a change may do although it would be refused, and how long it may wait for health first.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    ControlError, Controller,
    publish::Proposal,
    readiness::{Readiness, Resolved, not_ready},
    upcoming::{Upcoming, UpcomingGuard},
    warmup::RESOLVING,
};
use crate::{
    fleet::{Role, Roster, WatchedRelease},
    model::{EndpointUrl, Growth, ReleaseName, ReleaseSpec, TableState},
    table::compile,
};

/// When it is looked first whether a release that is waited for has become healthy; then after twice that, and so on.
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// The longest time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What a first check may take beside its own timeout: it has to be begun first.
const FIRST_CHECK_SLACK: Duration = Duration::from_secs(1);
/// How long a change that was not asked to wait waits for a first check at most.
const LONGEST_FIRST_CHECK: Duration = Duration::from_secs(10);

/// What a change may do although it would be refused, and how long it may wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Consent {
    /// Give more to a release without a healthy endpoint; remove a release that is of use.
    pub force: bool,
    /// Leave a release that has a weight out of a split that is set.
    pub drop: bool,
    /// How long to wait until a check has found each release healthy that gets more. Without it a change waits for first
    /// checks alone.
    pub wait: Duration,
}

/// Releases that a change waited for. Their rosters are looked up and checked until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Candidates<'a> {
    rosters: BTreeMap<ReleaseName, Arc<Roster>>,
    _coming: Option<UpcomingGuard<'a>>,
}

impl From<bool> for Consent {
    fn from(force: bool) -> Self {
        Self {
            force,
            ..Self::default()
        }
    }
}

impl Candidates<'_> {
    pub(super) fn roster(&self, name: &ReleaseName) -> Option<&Arc<Roster>> {
        self.rosters.get(name)
    }
}

impl Controller {
    /// Waits until it is known of each release that a change would give more to whether it can answer, or, where the change
    /// is to wait, until each can. It holds nothing meanwhile that another change needs, so what is decided on has to be
    /// worked out again afterwards. What is answered is to be kept until the change is live.
    pub(super) async fn await_health(
        &self,
        proposal: &Proposal,
        consent: Consent,
    ) -> Result<Candidates<'_>, ControlError> {
        let candidates = self.check_growing(proposal)?;
        let known = async {
            let mut pause = FIRST_LOOK;
            while self.has_to_wait(proposal, consent, &candidates) {
                tokio::time::sleep(pause).await;
                pause = LOOK_EVERY.min(pause * 2);
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
        let live = self.cell.load();
        let growth = self.growing(&live, &proposal.state, &candidates, Resolved::All);
        // What has become ready in the last moment needs no refusal.
        not_ready(growth, None).map(|()| candidates)
    }

    /// Whether a change has to wait for what it would give more to.
    pub(super) fn has_to_wait(
        &self,
        proposal: &Proposal,
        consent: Consent,
        candidates: &Candidates<'_>,
    ) -> bool {
        if consent.force || proposal.is_way_back() {
            return false;
        }
        let live = self.cell.load();
        if !consent.wait.is_zero() {
            let growth = self.growing(&live, &proposal.state, candidates, Resolved::All);
            return growth.values().any(|one| *one != Readiness::Ready);
        }
        let growth = self.growing(&live, &proposal.state, candidates, Resolved::NotYet);
        let is = |readiness| growth.values().any(|one| *one == readiness);
        // With one that cannot answer the change is refused whatever the others are.
        is(Readiness::Unknown) && !is(Readiness::NotReady)
    }

    /// Has the releases that a change gives more to looked up and checked although nothing of it is live.
    fn check_growing(&self, proposal: &Proposal) -> Result<Candidates<'_>, ControlError> {
        // So that what was made live a moment ago is known to be looked after.
        self.reconcile();
        let Proposal { state, touched, .. } = proposal;
        let live = self.cell.load();
        let draft = compile(state.clone(), touched, Some(live.compiled()), &self.fleet)
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
                role: Role::Candidate,
            };
            watched.insert(name.clone(), candidate);
        }
        let roster =
            |(name, one): (&ReleaseName, &WatchedRelease)| (name.clone(), Arc::clone(&one.roster));
        Ok(Candidates {
            rosters: watched.iter().map(roster).collect(),
            _coming: Some(self.watch_upcoming(Upcoming {
                rosters: watched.into_values().collect(),
                names: Vec::new(),
            })),
        })
    }

    /// The roster by which a release is to be judged: its own, unless that holds other endpoints, or is checked otherwise,
    /// as long as the change is not live.
    fn candidate_roster(
        &self,
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

/// Whether what a check says of an endpoint as the one release holds for the other too.
pub(super) fn checks_alike(one: &ReleaseSpec, other: &ReleaseSpec) -> bool {
    (&one.health, one.protocol, &one.tls) == (&other.health, other.protocol, &other.tls)
}

/// How long the first checks of what is waited for may take together, since they are made beside one another.
fn longest_first_check(candidates: &Candidates<'_>, state: &TableState) -> Duration {
    let of = |name: &ReleaseName| {
        let health = state.spec.release(name)?.health.as_ref()?;
        let is_name = |url: &EndpointUrl| url.ip().is_none();
        let resolving = state.endpoints(name).iter().any(is_name);
        let resolving = if resolving { RESOLVING } else { Duration::ZERO };
        Some(health.timeout.0 + resolving + FIRST_CHECK_SLACK)
    };
    let longest = candidates.rosters.keys().filter_map(of).max();
    longest.unwrap_or_default().min(LONGEST_FIRST_CHECK)
}
