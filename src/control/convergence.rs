//! The convergence of a change: the workers that have taken it up, and its endpoints that have an address.

use std::time::{Duration, Instant};

use super::{clock::now, metrics, revision_log::RevisionLog, swap::AppliedSwap};
use crate::{
    api::{Timestamp, UnresolvedRelease},
    model::{ReleaseName, Revision},
    table::LiveTable,
};

/// The state of a change on its way to every worker.
#[derive(Debug)]
pub(super) struct Convergence {
    /// The time at which it was found to be converged; `None` if it was not.
    pub(super) at: Option<Timestamp>,
    /// True if every worker has taken it up.
    pub(super) has_every_worker: bool,
    pub(super) unresolved: Vec<UnresolvedRelease>,
}

/// Waits, within a limit, until every worker has taken up a swap.
pub(super) async fn converge(
    table: &LiveTable,
    log: &RevisionLog,
    swap: &AppliedSwap<'_>,
    within: Duration,
) -> Convergence {
    let revision = swap.record.revision;
    let begin = Instant::now();
    let converged = tokio::time::timeout(within, table.converged(revision)).await;
    let convergence = Convergence::new(table, log, revision, converged.is_ok());
    metrics::record_convergence(begin.elapsed() + swap.took);
    convergence
}

impl Convergence {
    /// The convergence of a revision now, without waiting.
    pub(super) fn now(table: &LiveTable, log: &RevisionLog, revision: Revision) -> Self {
        let has_every_worker = table.waiting_for(revision).is_empty();
        Self::new(table, log, revision, has_every_worker)
    }

    fn new(
        table: &LiveTable,
        log: &RevisionLog,
        revision: Revision,
        has_every_worker: bool,
    ) -> Self {
        let unresolved = unresolved(table, log, revision);
        Self {
            at: (has_every_worker && !is_behind(&unresolved)).then(now),
            has_every_worker,
            unresolved,
        }
    }
}

/// The releases of a change that have names without an address.
fn unresolved(table: &LiveTable, log: &RevisionLog, revision: Revision) -> Vec<UnresolvedRelease> {
    let live = table.load();
    let touched = log
        .index()
        .get(revision)
        .map(|kept| kept.touched.releases.clone());
    let unresolved = |name: ReleaseName| {
        let roster = live.compiled().releases().get(&name)?.roster();
        let (endpoints, still_served_by) = roster.unresolved();
        (!endpoints.is_empty()).then_some(UnresolvedRelease {
            release: name,
            endpoints,
            still_served_by,
        })
    };
    let touched = touched.into_iter().flatten();
    touched.filter_map(unresolved).collect()
}

/// True if requests still go to endpoints that a change took out.
fn is_behind(unresolved: &[UnresolvedRelease]) -> bool {
    let is_behind = |one: &UnresolvedRelease| !one.still_served_by.is_empty();
    unresolved.iter().any(is_behind)
}
