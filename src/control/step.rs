//! Steps of one part of the table: the revisions that changed one route or one flag.
//!
//! The records say what the part was before, not the undo stack: a rollback of another part may have taken steps of
//! this one from it.

use super::{revision_index::RevisionIndex, revision_log::RevisionLog};
use crate::{
    model::{
        Cause, ChangeSet, FlagName, Hashed, ReleaseName, Revision, RouteName, RouteSpec, TableSpec,
        Weights,
    },
    table::LiveTable,
};

/// A part of the table that can be rolled back alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Flag(&'a FlagName),
    Route(&'a RouteName),
}

/// A step of one part: the revision that made it, and the one before.
pub(super) struct Step {
    pub(super) made_by: Revision,
    pub(super) from: Revision,
}

impl<'a> Part<'a> {
    /// The part that a rollback of one part alone went back with, and the revision that it shows since.
    fn rolled_back_by(cause: &'a Cause) -> Option<(Self, Revision)> {
        match cause {
            Cause::RollbackFlag { flag, to } => Some((Self::Flag(flag), *to)),
            Cause::RollbackRoute {
                route: Some(route),
                to,
            } => Some((Self::Route(route), *to)),
            _ => None,
        }
    }

    /// True if a rollback of it would change nothing between two tables; `None` if one of them does not have it.
    fn is_same(self, now: &TableSpec, then: &TableSpec) -> Option<bool> {
        match self {
            Self::Flag(name) => Some(Hashed::is_same(now.flag(name)?, then.flag(name)?)),
            Self::Route(name) => {
                let (now, then) = (now.route(name)?, then.route(name)?);
                Some(trial(now) == trial(then))
            }
        }
    }

    /// True if a change was about more than this part.
    fn is_less_than(self, touched: &ChangeSet) -> bool {
        touched.structure
            || !touched.releases.is_empty()
            || touched
                .routes
                .iter()
                .any(|other| Part::Route(other) != self)
            || touched.flags.iter().any(|other| Part::Flag(other) != self)
    }
}

/// All that a rollback of one route brings back: its split, its stable release, and the switch of its maintenance.
fn trial(route: &RouteSpec) -> (&Weights, Option<&ReleaseName>, bool) {
    let maintenance = route.is_in_maintenance();
    (&route.split, route.stable.as_ref(), maintenance)
}

/// Walks back from a decision to the step that made a part what it is there.
pub(super) fn last_step(index: &RevisionIndex, decision: Revision, part: Part<'_>) -> Option<Step> {
    let spec = |revision| Some(&index.get(revision)?.state.as_ref()?.spec);
    let now = spec(decision)?;
    // `at` is where the walk is, `seen` the decision by which that is live: a rollback shows an earlier one.
    let (mut at, mut seen) = (decision, decision);
    loop {
        let record = &index.get(at)?.record;
        let parent = index.decision(record.parent);
        let alone = Part::rolled_back_by(&record.cause);
        let shown = match &record.cause {
            Cause::Rollback { to } if record.undo_to != Some(parent) => Some(*to),
            _ => alone.filter(|(other, _)| *other == part).map(|(_, to)| to),
        };
        if let Some(shown) = shown.filter(|shown| index.get(*shown).is_some()) {
            at = shown;
            continue;
        }
        // A rollback of another part left this one as it was; where that is not kept any more, the stack goes on.
        let aside = alone.is_some_and(|(other, _)| other != part);
        let before = match index.get(parent) {
            Some(_) if aside => parent,
            _ => record.undo_to?,
        };
        if !part.is_same(now, spec(before)?)? {
            return Some(Step {
                made_by: seen,
                from: before,
            });
        }
        (at, seen) = (before, before);
    }
}

/// The revisions about more than the part that leave the undo stack with its rollback: the next rollback of everything
/// goes back to before them.
pub(super) fn taken_along(
    table: &LiveTable,
    log: &RevisionLog,
    to: Revision,
    part: Part<'_>,
) -> Vec<Revision> {
    let index = log.index();
    let is_about_more = |revision: &Revision| {
        let kept = index.get(*revision);
        kept.is_some_and(|kept| part.is_less_than(&kept.touched))
    };
    let chain = table.chain().into_iter();
    let above = chain.take_while(|revision| *revision > to);
    above.filter(is_about_more).collect()
}
