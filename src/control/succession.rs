//! Two processes during a takeover: the new one compiles and checks the live table before the history is its own, and the
//! old one follows the new one's changes while it finishes what it has in flight.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Controller, clock::now_ms, cuts, recompile::set_static_endpoints, watch_set::WatchSet,
};
use crate::{
    fleet::{Fleet, Health, WatchedRelease},
    model::{
        Change, ChangeSet, LeaveCause, Problem, Revision, RouteName, TableDocument, TableState,
        WorkClass,
    },
    table::{Draft, Leave, RoutingTable, StackChange, compile},
};

/// Interval in which a process that was taken over from tidies up.
const UPKEEP: Duration = Duration::from_secs(1);

/// The live table of another process, compiled, with its releases watched. They stay watched until it is dropped.
#[derive(Debug)]
pub struct Rehearsal {
    draft: Draft,
    watched: Vec<WatchedRelease>,
}

/// A table that the new process made live, for the old one.
#[derive(Debug, Serialize, Deserialize)]
pub struct FollowedTable {
    revision: Revision,
    table: TableDocument,
    /// Causes for which releases leave by it, by route.
    causes: BTreeMap<RouteName, LeaveCause>,
    /// True if all that is in flight on them is cut.
    cut: bool,
}

// === impl Rehearsal ===

impl Rehearsal {
    /// Compiles a table and has its releases resolved and checked.
    ///
    /// # Errors
    /// All problems of the table: another version may have other rules.
    pub fn begin(table: TableDocument, fleet: &Fleet) -> Result<Self, Vec<Problem>> {
        let state = table.into_state(&TableState::default());
        let draft = compile(state, &ChangeSet::default(), None, fleet)?;
        let tables = [Arc::clone(draft.compiled())];
        let watched = WatchSet::of_tables(&tables, &draft.state().rosters).into_releases();
        for release in &watched {
            set_static_endpoints(&release.roster, &release.urls);
        }
        fleet.watch(watched.clone());
        Ok(Self { draft, watched })
    }

    /// True once each name is resolved and each endpoint with checks has had its first one.
    pub fn is_answered(&self) -> bool {
        self.watched.iter().all(|release| {
            let endpoints = release.roster.endpoints();
            let is_known = || {
                endpoints
                    .iter()
                    .all(|endpoint| endpoint.health() != Health::Unknown)
            };
            release.roster.resolved() && (release.spec.health.is_none() || is_known())
        })
    }

    /// Number of its releases.
    pub fn releases(&self) -> usize {
        self.draft.compiled().releases().len()
    }
}

// === impl FollowedTable ===

impl FollowedTable {
    /// The live table, and the way in which it became live.
    pub fn of(live: &RoutingTable) -> Self {
        let now_ms = now_ms();
        let latest = live.departures().latest();
        let is_cut = |class| {
            latest
                .iter()
                .all(|left| left.cut_part(class, now_ms) == u32::MAX)
        };
        Self {
            revision: live.revision(),
            table: TableDocument::of(&live.state()),
            causes: latest
                .iter()
                .map(|left| (left.route().clone(), left.cause()))
                .collect(),
            cut: !latest.is_empty() && WorkClass::ALL.into_iter().all(is_cut),
        }
    }
}

impl Controller {
    /// Makes a table of the new process live for what is in flight here. Nothing is written.
    ///
    /// # Errors
    /// The reason, if this version cannot use it; what was live stays.
    pub fn follow(&self, followed: FollowedTable) -> Result<(), String> {
        let live = self.table.load();
        if followed.revision <= live.revision() {
            return Ok(());
        }
        let change = Change::Replace {
            table: followed.table,
        };
        let applied = change.apply_to(&live.state());
        let applied = applied.map_err(|error| error.to_string())?;
        let leave = Leave {
            cause: LeaveCause::Split,
            by_route: Some(Arc::new(followed.causes)),
            cut: followed.cut,
        };
        let draft = compile(
            applied.state,
            &applied.touched,
            Some(live.compiled()),
            &self.fleet,
        );
        let draft = draft.map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            lines.join("; ")
        })?;
        let (base, stack) = (live.revision(), StackChange::Push(None));
        self.table
            .publish(
                draft.leaving(leave),
                followed.revision,
                base,
                stack,
                now_ms(),
            )
            .map_err(|_| "another table became live".to_owned())?;
        self.reconciler.reconcile();
        Ok(())
    }

    /// Ends what has to end of the work in flight, for as long as it is polled, after another process took over.
    pub async fn run_to_the_end(&self) {
        self.leave_fleet().await;
        let upkeep = async {
            let mut ticks = tokio::time::interval(UPKEEP);
            loop {
                ticks.tick().await;
                self.reconciler.reconcile();
            }
        };
        tokio::join!(cuts::run(&self.table, &self.fleet), upkeep);
    }
}
