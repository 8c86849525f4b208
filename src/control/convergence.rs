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
    /// Workers that have not taken it up.
    pub(super) waiting_for: Vec<usize>,
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
    let waiting_for = converged.map_or_else(|_| table.waiting_for(revision), |()| Vec::new());
    let convergence = Convergence::new(table, log, revision, waiting_for);
    metrics::record_convergence(begin.elapsed() + swap.took);
    convergence
}

impl Convergence {
    /// The convergence of a revision now, without waiting.
    pub(super) fn now(table: &LiveTable, log: &RevisionLog, revision: Revision) -> Self {
        Self::new(table, log, revision, table.waiting_for(revision))
    }

    fn new(
        table: &LiveTable,
        log: &RevisionLog,
        revision: Revision,
        waiting_for: Vec<usize>,
    ) -> Self {
        let unresolved = unresolved(table, log, revision);
        Self {
            at: (waiting_for.is_empty() && !is_behind(&unresolved)).then(now),
            waiting_for,
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
