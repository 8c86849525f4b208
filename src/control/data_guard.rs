//! Data guards: the releases that a change would leave for an earlier one, though they declare that their data does not
//! allow it. Pure: tables and the kept revisions in, guards out.
//!
//! A release is crossed on a route if all of this holds:
//!
//! - it has no weight there after the change, and has had some since the release that gains was last there without it;
//! - the release that gains had a weight there before it: what is new on the route is the way forward.
//!
//! Revisions that are not kept any more are not known. A release beside another one in the earliest revision counts as earlier.

use std::{collections::BTreeSet, sync::Arc};

use super::{revision_index::RevisionIndex, watch_set::ReleaseKey};
use crate::{
    api::DataGuard,
    model::{Growth, Hashed, ReleaseName, Revision, RollbackSpec, RouteName, RouteSpec, TableSpec},
};

/// Most guards that are named.
const MOST: usize = 20;

/// The releases with a weight on a route, for as long as these did not change.
#[derive(Debug)]
struct Period {
    weighed: BTreeSet<ReleaseKey>,
    guarded: Vec<(ReleaseKey, RollbackSpec)>,
}

/// The guards that a change from the live table to another one crosses.
pub(super) fn crossed(
    index: &RevisionIndex,
    (live, before): (Revision, &TableSpec),
    after: &TableSpec,
) -> Vec<DataGuard> {
    if !index.has_guards() {
        return Vec::new();
    }
    let growth = Growth::between(before, after);
    let all = growth.iter().flat_map(|growth| {
        let periods = periods(index, (live, before), &growth.route);
        crossed_on(&periods, growth, (before, after))
    });
    all.take(MOST).collect()
}

/// The guards that a rollback from one table to an earlier one would cross, whatever came before.
pub(super) fn crossed_by_return(from: &TableSpec, to: &TableSpec) -> Vec<DataGuard> {
    let growth = Growth::between(from, to);
    let all = growth.iter().flat_map(|growth| {
        let now = from
            .route(&growth.route)
            .map(|route| Period::of(from, route));
        let then = to.route(&growth.route).map(|route| Period::of(to, route));
        let then = then.map_or_else(BTreeSet::new, |then| then.weighed);
        let left = now.into_iter().flat_map(|now| now.guarded);
        let left = left.filter(move |(key, _)| !then.contains(key));
        let gaining: Vec<_> = growth.releases.iter().cloned().collect();
        left.map(move |(key, spec)| guard(&growth.route, key, spec, gaining.clone()))
    });
    all.take(MOST).collect()
}

fn crossed_on(
    periods: &[Period],
    growth: &Growth,
    (before, after): (&TableSpec, &TableSpec),
) -> Vec<DataGuard> {
    let then = after.route(&growth.route);
    let then = then.map_or_else(BTreeSet::new, |route| Period::of(after, route).weighed);
    let version = |name: &ReleaseName| Some((name.clone(), after.release(name)?.version.clone()));
    let gaining: Vec<_> = growth.releases.iter().filter_map(version).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (key, declared) in periods.iter().flat_map(|period| &period.guarded) {
        if then.contains(key) || !seen.insert(key.clone()) {
            continue;
        }
        let earlier = gaining.iter().filter(|other| is_back(periods, key, other));
        let earlier: Vec<_> = earlier.map(|(name, _)| name.clone()).collect();
        // What it declares now counts, as long as it is there.
        let now = before.release(&key.0).filter(|spec| spec.version == key.1);
        let declared = match now {
            Some(spec) => spec.rollback.clone().filter(RollbackSpec::is_guard),
            None => Some(declared.clone()),
        };
        if let (Some(spec), false) = (declared, earlier.is_empty()) {
            found.push(guard(&growth.route, key.clone(), spec, earlier));
        }
    }
    found
}

/// True if going on with `other` without `guarded` is the way back: the latest period is the first.
fn is_back(periods: &[Period], guarded: &ReleaseKey, other: &ReleaseKey) -> bool {
    let has = |period: &Period, key| period.weighed.contains(key);
    for period in periods {
        if has(period, guarded) {
            break;
        }
        if has(period, other) {
            return false;
        }
    }
    let Some(first) = periods.iter().rposition(|period| has(period, guarded)) else {
        return false;
    };
    let is_earliest = first + 1 == periods.len();
    periods[first + 1..].iter().any(|period| has(period, other))
        || is_earliest && has(&periods[first], other)
}

fn guard(
    route: &RouteName,
    (release, version): ReleaseKey,
    spec: RollbackSpec,
    to: Vec<ReleaseName>,
) -> DataGuard {
    DataGuard {
        route: route.clone(),
        release,
        version,
        to,
        reason: spec.reason,
        check: spec.check,
        answer: None,
    }
}

/// The periods of a route up to a revision, the latest first.
fn periods(
    index: &RevisionIndex,
    (live, before): (Revision, &TableSpec),
    route: &RouteName,
) -> Vec<Period> {
    let kept = index.kept().range(..=live).rev();
    let states = kept.filter_map(|(_, kept)| Some(&kept.state.as_ref()?.spec));
    let mut last: Option<(&TableSpec, &Arc<Hashed<RouteSpec>>)> = None;
    let mut periods: Vec<Period> = Vec::new();
    // The live table is there even if its record is not.
    for spec in std::iter::once(before).chain(states) {
        let Some(own) = spec.route(route) else {
            continue;
        };
        let is_same = last.is_some_and(|(table, before)| {
            Arc::ptr_eq(before, own) && std::ptr::eq(table.releases(), spec.releases())
        });
        last = Some((spec, own));
        if is_same {
            continue;
        }
        let period = Period::of(spec, own);
        if periods
            .last()
            .is_none_or(|later| later.weighed != period.weighed)
        {
            periods.push(period);
        }
    }
    periods
}

impl Period {
    fn of(table: &TableSpec, route: &RouteSpec) -> Self {
        let specs = route
            .weighed()
            .filter_map(|name| Some((name, table.release(name)?)));
        let (mut weighed, mut guarded) = (BTreeSet::new(), Vec::new());
        for (name, spec) in specs {
            let key = (name.clone(), spec.version.clone());
            let declared = spec.rollback.clone().filter(RollbackSpec::is_guard);
            guarded.extend(declared.map(|declared| (key.clone(), declared)));
            weighed.insert(key);
        }
        Self { weighed, guarded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ReleaseKey {
        let (name, version) = text.split_once(' ').unwrap_or((text, "1"));
        (
            name.parse().unwrap(),
            crate::model::Version::new(version).unwrap(),
        )
    }

    /// Periods of a route, the latest first: the releases with a weight in each.
    fn road(periods: &[&[&str]]) -> Vec<Period> {
        let period = |names: &&[&str]| Period {
            weighed: names.iter().map(|name| key(name)).collect(),
            guarded: Vec::new(),
        };
        periods.iter().map(period).collect()
    }

    fn is_across(periods: &[&[&str]], other: &str) -> bool {
        is_back(&road(periods), &key("green"), &key(other))
    }

    #[test]
    fn what_was_there_before_is_back_and_what_is_new_is_forward() {
        let switched: [&[&str]; 2] = [&["green"], &["blue"]];
        assert!(is_across(&switched, "blue"));
        assert!(!is_across(&switched, "red"), "red is new");
        let canary: [&[&str]; 2] = [&["blue", "green"], &["blue"]];
        assert!(is_across(&canary, "blue"), "it has had requests");
        let newer: [&[&str]; 3] = [&["red"], &["green"], &["blue"]];
        assert!(is_across(&newer, "blue"), "green lies between");
    }

    #[test]
    fn what_has_been_gone_back_across_once_is_not_asked_again() {
        // Forced back to blue, then on to red.
        let after: [&[&str]; 4] = [&["red"], &["blue"], &["green"], &["blue"]];
        assert!(!is_across(&after, "blue"));
        let never: [&[&str]; 2] = [&["red"], &["blue"]];
        assert!(!is_across(&never, "blue"));
    }

    #[test]
    fn going_on_to_a_newer_release_again_is_forward() {
        let again: [&[&str]; 4] = [&["green"], &["red"], &["green"], &["blue"]];
        assert!(!is_across(&again, "red"));
        assert!(is_across(&again, "blue"));
    }

    #[test]
    fn what_stood_beside_it_from_the_beginning_counts_as_earlier() {
        assert!(is_across(&[&["blue", "green"]], "blue"));
        assert!(!is_across(&[&["green"]], "blue"));
        assert!(!is_across(&[&["green"], &["green 0"]], "blue"));
        assert!(
            is_across(&[&["green"], &["green 0"]], "green 0"),
            "another version"
        );
    }
}
