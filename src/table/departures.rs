//! Departures: the releases that left a route, each with its cause and its policy.
//!
//! A release leaves a route when a change makes its weight there 0, or takes it out. The departures of a table stand
//! beside its revision, so that a selection sees both with one load: a session with a pin stays or moves by them, and
//! the control plane ends by them what is in flight.
//! They are computed from the two tables of a swap by comparing pointers, so that they cost what the change touched.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::model::{
    ChunkedMap, Hashed, LeaveCause, ReleaseName, Revision, RouteName, RouteSpec, TableSpec,
    Version, WorkClass, WorkPolicy,
};

/// Largest number of departures of one route of releases out of its split; of more, the oldest is forgotten.
const MOST: usize = 16;
/// Time for which a departure is kept after its last limit, for requests that become streams later.
const AFTERWARDS: Duration = Duration::from_secs(15 * 60);

/// A release that left a route.
#[derive(Debug)]
pub struct Departure {
    route: Arc<Hashed<RouteSpec>>,
    release: ReleaseName,
    version: Version,
    revision: Revision,
    at_ms: u64,
    cause: LeaveCause,
    // True if all work is cut at once, whatever the policy says.
    cut: bool,
}

/// The way in which a change makes releases leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leave {
    /// The cause, if the release stays in the table.
    pub cause: LeaveCause,
    /// The causes of routes that have one of their own: a batch may abort one route and switch another.
    pub by_route: Option<Arc<BTreeMap<RouteName, LeaveCause>>>,
    /// True if all work is cut at once, whatever the policy says.
    pub cut: bool,
}

/// All departures of a table.
#[derive(Debug, Clone, Default)]
pub struct Departures {
    // By the place of the route. Empty as long as there is no departure.
    by_route: ChunkedMap<Option<Arc<[Arc<Departure>]>>>,
    // Those with work that may have to be cut, of removed routes too.
    pending: Arc<[Arc<Departure>]>,
    // Those of the swap that made the table live.
    latest: Arc<[Arc<Departure>]>,
}

/// A swap, as far as departures depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Transition<'a> {
    /// The decisions before it.
    pub before: &'a TableSpec,
    /// The decisions after it.
    pub after: &'a TableSpec,
    /// The way in which releases leave by it.
    pub leave: &'a Leave,
    /// The revision that the swap makes live.
    pub revision: Revision,
    /// Milliseconds since 1970.
    pub now_ms: u64,
}

type Route = Arc<Hashed<RouteSpec>>;

// === impl Departure ===

impl Departure {
    /// Name of the route.
    pub fn route(&self) -> &RouteName {
        &self.route.name
    }

    /// Name of the release.
    pub fn release(&self) -> &ReleaseName {
        &self.release
    }

    /// Version of the release.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Revision by which it left: it selected none of the work that is to end.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Cause for which it left.
    pub fn cause(&self) -> LeaveCause {
        self.cause
    }

    /// Part of the work of a class that is to be cut now, from 0 to `u32::MAX` for all of it.
    pub fn cut_part(&self, class: WorkClass, now_ms: u64) -> u32 {
        self.policy(class).part(self.age(now_ms))
    }

    /// True if a session with a pin to the release moves with its next request.
    pub fn moves_session(&self, now_ms: u64) -> bool {
        let policy = self.route.in_flight.session(self.cause);
        self.cut || policy.moves(self.age(now_ms))
    }

    fn policy(&self, class: WorkClass) -> WorkPolicy {
        if self.cut {
            return WorkPolicy::Cut;
        }
        self.route.in_flight.work(self.cause, class)
    }

    /// True while some of its work may have to be cut.
    pub fn is_pending(&self, now_ms: u64) -> bool {
        let limits = WorkClass::ALL.map(|class| self.policy(class).limit());
        let longest = limits.into_iter().flatten().max();
        longest.is_some_and(|limit| self.age(now_ms) < limit.saturating_add(AFTERWARDS))
    }

    fn age(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.at_ms))
    }

    fn is_of(&self, release: &ReleaseName, version: &Version) -> bool {
        self.release == *release && self.version == *version
    }
}

impl Leave {
    /// A change of a split that is no switch.
    pub const SPLIT: Self = Self::by(LeaveCause::Split);
    /// A rollback.
    pub const ROLLBACK: Self = Self::by(LeaveCause::Rollback);

    /// A change for this cause.
    pub const fn by(cause: LeaveCause) -> Self {
        Self {
            cause,
            by_route: None,
            cut: false,
        }
    }

    /// Cause for which releases leave a route.
    pub fn cause_on(&self, route: &RouteName) -> LeaveCause {
        let own = self.by_route.as_ref().and_then(|by| by.get(route));
        own.copied().unwrap_or(self.cause)
    }
}

// === impl Departures ===

impl Departures {
    /// Departures with work that may have to be cut.
    pub fn pending(&self) -> &Arc<[Arc<Departure>]> {
        &self.pending
    }

    /// Departures by the swap that made the table live.
    pub fn latest(&self) -> &Arc<[Arc<Departure>]> {
        &self.latest
    }

    /// The departure of a release from the route at a place, if it left.
    pub fn of(
        &self,
        place: usize,
        release: &ReleaseName,
        version: &Version,
    ) -> Option<&Arc<Departure>> {
        self.at(place)?
            .iter()
            .find(|one| one.is_of(release, version))
    }

    /// The departures after a swap.
    #[must_use]
    pub fn after(&self, swap: &Transition<'_>) -> Self {
        let Some(changed) = swap.changed_routes() else {
            return self.rebuilt(swap);
        };
        let mut by_route = self.by_route.clone();
        let (mut left, mut returned) = (Vec::new(), Vec::new());
        for place in changed {
            let (before, after) = (
                swap.before.routes().get(place),
                swap.after.routes().get(place),
            );
            let (Some(before), Some(after)) = (before, after) else {
                continue;
            };
            let now = self.of_route(place, swap, (before, after), &mut left);
            returned.push(after);
            if now.is_none() && self.at(place).is_none() {
                continue;
            }
            if by_route.is_empty() {
                by_route = swap.after.routes().iter().map(|_| None).collect();
            }
            by_route = by_route.set(place, now);
        }
        let is_changed = |route: &RouteName| returned.iter().any(|after| after.name == *route);
        Self {
            pending: swap.pending(&self.pending, &left, is_changed),
            latest: left.into(),
            by_route,
        }
    }

    /// The departures after a swap of a route that had this place; those by the swap itself go to `left` as well.
    fn of_route(
        &self,
        place: usize,
        swap: &Transition<'_>,
        (before, after): (&Route, &Route),
        left: &mut Vec<Arc<Departure>>,
    ) -> Option<Arc<[Arc<Departure>]>> {
        let now = swap.route(before, Some(after), self.at(place).unwrap_or_default());
        let new = now.iter().filter(|one| one.revision == swap.revision);
        left.extend(new.cloned());
        (!now.is_empty()).then(|| now.into())
    }

    fn at(&self, place: usize) -> Option<&[Arc<Departure>]> {
        self.by_route.get(place)?.as_deref()
    }

    /// The departures after a swap that adds, removes or moves routes.
    fn rebuilt(&self, swap: &Transition<'_>) -> Self {
        let mut left = Vec::new();
        let route = |after: &Route| {
            let place = swap.before.place(&after.name)?;
            let before = swap.before.routes().get(place)?;
            self.of_route(place, swap, (before, after), &mut left)
        };
        let by_route: ChunkedMap<Option<Arc<[_]>>> =
            swap.after.routes().iter().map(route).collect();
        let gone = |before: &&Route| swap.after.place(&before.name).is_none();
        for before in swap.before.routes().iter().filter(gone) {
            left.extend(swap.route(before, None, &[]));
        }
        let has_any = by_route.iter().any(Option::is_some);
        Self {
            by_route: if has_any {
                by_route
            } else {
                ChunkedMap::default()
            },
            pending: swap.pending(&self.pending, &left, |_| true),
            latest: left.into(),
        }
    }
}

// === impl Transition ===

impl Transition<'_> {
    /// Places of the routes whose releases may have left or come back; `None` if routes were added, removed or moved.
    fn changed_routes(&self) -> Option<Vec<usize>> {
        let (before, after) = (self.before.routes(), self.after.routes());
        if before.len() != after.len() {
            return None;
        }
        let mut changed: Vec<usize> = before.differences(after, Arc::ptr_eq).collect();
        let is_same_name = |place: &usize| {
            let names = (before.get(*place), after.get(*place));
            matches!(names, (Some(before), Some(after)) if before.name == after.name)
        };
        if !changed.iter().all(is_same_name) {
            return None;
        }
        let has_changed = |release: &ReleaseName| {
            version_in(self.before, release) != version_in(self.after, release)
        };
        // All routes are looked at only for a release that another version has replaced: a new one is in no route yet.
        let is_other = !std::ptr::eq(self.before.releases(), self.after.releases());
        if is_other && self.before.releases().keys().any(has_changed) {
            let routes = after.iter().enumerate();
            let by_release = routes.filter(|(_, route)| route.split.keys().any(has_changed));
            changed.extend(by_release.map(|(place, _)| place));
            changed.sort_unstable();
            changed.dedup();
        }
        Some(changed)
    }

    /// The departures of one route: those that still hold, and those of this swap.
    fn route(
        &self,
        before: &Route,
        after: Option<&Route>,
        old: &[Arc<Departure>],
    ) -> Vec<Arc<Departure>> {
        let has_weight =
            |table: &TableSpec, route: &Route, release: &ReleaseName, version: &Version| {
                let weight = route.split.get(release);
                weight.is_some_and(|weight| *weight > 0)
                    && version_in(table, release) == Some(version)
            };
        let is_back = |release: &ReleaseName, version: &Version| {
            after.is_some_and(|after| has_weight(self.after, after, release, version))
        };
        let weighed = before.split.iter().filter(|(_, weight)| **weight > 0);
        let left = weighed.filter_map(|(release, _)| {
            let version = version_in(self.before, release)?;
            let has_left = !is_back(release, version);
            has_left.then(|| self.departure(before, after, release, version))
        });
        let mut now: Vec<_> = left.map(Arc::new).collect();
        let holds = |one: &&Arc<Departure>| {
            let is_newer = now.iter().any(|new| new.is_of(&one.release, &one.version));
            !is_newer && !is_back(&one.release, &one.version)
        };
        let kept: Vec<_> = old.iter().filter(holds).cloned().collect();
        now.extend(kept);
        // Those in the split say where sessions go; of the others, only work in flight may have to be cut.
        let mut others = 0;
        now.retain(|one| {
            let is_in_split = after.is_some_and(|after| after.split.contains_key(&one.release));
            others += usize::from(!is_in_split);
            is_in_split || others <= MOST
        });
        now
    }

    fn departure(
        &self,
        before: &Route,
        after: Option<&Route>,
        release: &ReleaseName,
        version: &Version,
    ) -> Departure {
        let is_there = after.is_some() && version_in(self.after, release) == Some(version);
        let cause = match self.leave.cause_on(&before.name) {
            LeaveCause::Rollback => LeaveCause::Rollback,
            cause if is_there => cause,
            _ => LeaveCause::Remove,
        };
        Departure {
            route: Arc::clone(before),
            release: release.clone(),
            version: version.clone(),
            revision: self.revision,
            at_ms: self.now_ms,
            cause,
            cut: self.leave.cut,
        }
    }

    /// Those with work to cut: of the earlier ones all that have not come back, and those of this swap.
    fn pending(
        &self,
        old: &Arc<[Arc<Departure>]>,
        left: &[Arc<Departure>],
        is_changed: impl Fn(&RouteName) -> bool,
    ) -> Arc<[Arc<Departure>]> {
        let is_back = |one: &Departure| {
            let route = self.after.route(one.route());
            let weight = route.and_then(|route| route.split.get(&one.release));
            weight.is_some_and(|weight| *weight > 0)
                && version_in(self.after, &one.release) == Some(&one.version)
        };
        let holds = |one: &&Arc<Departure>| {
            one.is_pending(self.now_ms) && !(is_changed(one.route()) && is_back(one))
        };
        if left.is_empty() && old.iter().all(|one| holds(&one)) {
            return Arc::clone(old);
        }
        let left = left.iter().filter(|one| one.is_pending(self.now_ms));
        old.iter().filter(holds).chain(left).cloned().collect()
    }
}

fn version_in<'t>(table: &'t TableSpec, release: &ReleaseName) -> Option<&'t Version> {
    table.release(release).map(|spec| &spec.version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TableDocument, TableState};

    /// A table of routes, each with the weights of blue and green and its policies.
    fn table(version: &str, routes: &[(&str, u32, u32)]) -> TableSpec {
        let routes: Vec<_> = routes
            .iter()
            .map(|(name, blue, green)| {
                serde_json::json!({
                    "name": name, "path": format!("/{name}"), "split": {"blue": blue, "green": green},
                    "in_flight": {"split": {"stream": "cut over 10s", "session": "keep for 5s"}},
                })
            })
            .collect();
        let document: TableDocument = serde_json::from_value(serde_json::json!({
            "releases": {
                "blue": {"version": version, "endpoints": ["http://127.0.0.1:1"]},
                "green": {"version": "1", "endpoints": ["http://127.0.0.1:2"]},
            },
            "routes": routes,
        }))
        .unwrap();
        document.into_state(&TableState::default()).spec
    }

    fn after(
        old: &Departures,
        (before, after): (&TableSpec, &TableSpec),
        cause: LeaveCause,
        revision: u64,
    ) -> Departures {
        old.after(&Transition {
            before,
            after,
            leave: &Leave::by(cause),
            revision: Revision(revision),
            now_ms: 1_000_000,
        })
    }

    fn of<'d>(departures: &'d Departures, place: usize, release: &str) -> Option<&'d Departure> {
        let version = Version::new("1").unwrap();
        let release = release.parse().unwrap();
        departures.of(place, &release, &version).map(AsRef::as_ref)
    }

    #[test]
    fn a_release_departs_when_its_weight_becomes_zero_and_until_it_is_back() {
        let blue = table("1", &[("a", 1, 0), ("b", 1, 0)]);
        let green = table("1", &[("a", 0, 1), ("b", 1, 0)]);
        let none = Departures::default();
        let left = after(&none, (&blue, &green), LeaveCause::Switch, 2);
        let departure = of(&left, 0, "blue").unwrap();
        assert_eq!(
            (departure.cause(), departure.revision()),
            (LeaveCause::Switch, Revision(2))
        );
        assert!(of(&left, 0, "green").is_none() && of(&left, 1, "blue").is_none());
        assert_eq!(left.pending().len(), 1);
        let back = after(&left, (&green, &blue), LeaveCause::Rollback, 3);
        assert!(of(&back, 0, "blue").is_none());
        assert_eq!(of(&back, 0, "green").unwrap().cause(), LeaveCause::Rollback);
        let pending: Vec<_> = back
            .pending()
            .iter()
            .map(|one| one.release().as_str())
            .collect();
        assert_eq!(pending, ["green"]);
    }

    #[test]
    fn a_change_elsewhere_carries_departures_and_shares_them() {
        let first = table("1", &[("a", 1, 0), ("b", 1, 0)]);
        let second = table("1", &[("a", 0, 1), ("b", 1, 0)]);
        let left = after(
            &Departures::default(),
            (&first, &second),
            LeaveCause::Switch,
            2,
        );
        let other = table("1", &[("b", 0, 1)]);
        let third = second
            .with_route(Arc::clone(other.routes().get(0).unwrap()))
            .unwrap();
        let both = after(&left, (&second, &third), LeaveCause::Split, 3);
        let (kept, old) = (of(&both, 0, "blue").unwrap(), of(&left, 0, "blue").unwrap());
        assert!(std::ptr::eq(kept, old));
        assert_eq!(of(&both, 1, "blue").unwrap().cause(), LeaveCause::Split);
        assert_eq!(both.pending().len(), 2);
        let same = after(&both, (&third, &third), LeaveCause::Split, 4);
        assert!(Arc::ptr_eq(same.pending(), both.pending()));
    }

    #[test]
    fn a_route_may_have_a_cause_of_its_own() {
        let blue = table("1", &[("a", 1, 0), ("b", 1, 0)]);
        let green = table("1", &[("a", 0, 1), ("b", 0, 1)]);
        let own = BTreeMap::from([("b".parse().unwrap(), LeaveCause::Rollback)]);
        let leave = Leave {
            by_route: Some(Arc::new(own)),
            ..Leave::by(LeaveCause::Switch)
        };
        let left = Departures::default().after(&Transition {
            before: &blue,
            after: &green,
            leave: &leave,
            revision: Revision(2),
            now_ms: 1_000_000,
        });
        let cause = |place| of(&left, place, "blue").unwrap().cause();
        assert_eq!(
            (cause(0), cause(1)),
            (LeaveCause::Switch, LeaveCause::Rollback)
        );
    }

    #[test]
    fn a_version_or_a_route_that_goes_is_a_removal_unless_it_is_rolled_back() {
        let first = table("1", &[("a", 1, 0), ("b", 1, 0)]);
        let second = table("2", &[("a", 1, 0), ("b", 1, 0)]);
        let none = Departures::default();
        let replaced = after(&none, (&first, &second), LeaveCause::Split, 2);
        for place in [0, 1] {
            assert_eq!(
                of(&replaced, place, "blue").unwrap().cause(),
                LeaveCause::Remove
            );
        }
        let undone = after(&none, (&first, &second), LeaveCause::Rollback, 2);
        assert_eq!(
            of(&undone, 0, "blue").unwrap().cause(),
            LeaveCause::Rollback
        );
        let without = table("1", &[("b", 1, 0)]);
        let gone = after(&none, (&first, &without), LeaveCause::Rollback, 2);
        assert!(
            of(&gone, 0, "blue").is_none(),
            "the place is that of another route now"
        );
        let pending: Vec<_> = gone
            .pending()
            .iter()
            .map(|one| one.route().as_str())
            .collect();
        assert_eq!(pending, ["a"]);
        // What is removed has `timeouts.drain`, and no limit of its own.
        let removed = after(&none, (&first, &without), LeaveCause::Split, 2);
        assert!(removed.pending().is_empty());
    }

    #[test]
    fn the_policies_of_the_route_say_what_is_cut_and_which_session_moves() {
        let blue = table("1", &[("a", 1, 0)]);
        let green = table("1", &[("a", 0, 1)]);
        let left = after(
            &Departures::default(),
            (&blue, &green),
            LeaveCause::Split,
            2,
        );
        let departure = of(&left, 0, "blue").unwrap();
        let later = |seconds: u64| 1_000_000 + seconds * 1_000;
        assert_eq!(
            departure.cut_part(WorkClass::Stream, later(5)),
            u32::MAX / 2
        );
        assert_eq!(departure.cut_part(WorkClass::Unary, later(899)), 0);
        assert_eq!(departure.cut_part(WorkClass::Unary, later(900)), u32::MAX);
        assert!(!departure.moves_session(later(4)) && departure.moves_session(later(5)));
        assert!(departure.is_pending(later(1_799)) && !departure.is_pending(later(1_800)));
    }

    #[test]
    fn a_release_in_the_split_stays_departed_however_many_leave_after_it() {
        const RELEASES: usize = MOST + 4;
        let name = |number: usize| format!("r{number}");
        let all = |live: usize| {
            let releases: serde_json::Map<_, _> = (0..RELEASES)
                .map(|number| {
                    let endpoints = [format!("http://127.0.0.1:{}", number + 1)];
                    (
                        name(number),
                        serde_json::json!({ "version": "1", "endpoints": endpoints }),
                    )
                })
                .collect();
            let split: serde_json::Map<_, _> = (0..RELEASES)
                .map(|number| (name(number), u32::from(number == live).into()))
                .collect();
            let routes = [serde_json::json!({ "name": "chat", "path": "/", "split": split })];
            let table = serde_json::json!({ "releases": releases, "routes": routes });
            let document: TableDocument = serde_json::from_value(table).unwrap();
            document.into_state(&TableState::default()).spec
        };
        let mut departures = Departures::default();
        for live in 1..RELEASES {
            let swap = (&all(live - 1), &all(live));
            departures = after(&departures, swap, LeaveCause::Switch, live as u64);
        }
        for number in 0..RELEASES - 1 {
            assert!(of(&departures, 0, &name(number)).is_some(), "{number}");
        }
    }

    #[test]
    fn a_limit_beyond_all_time_is_none() {
        let endless = format!("finish within {}s", u64::MAX);
        let spec = |blue: u32| -> TableSpec {
            let document: TableDocument = serde_json::from_value(serde_json::json!({
                "releases": {"blue": {"version": "1", "endpoints": ["http://127.0.0.1:1"]}},
                "routes": [{
                    "name": "a", "split": {"blue": blue},
                    "in_flight": {"split": {"stream": endless}},
                }],
            }))
            .unwrap();
            document.into_state(&TableState::default()).spec
        };
        let (one, none) = (spec(1), spec(0));
        let left = after(&Departures::default(), (&one, &none), LeaveCause::Split, 2);
        let departure = of(&left, 0, "blue").unwrap();
        assert!(departure.is_pending(u64::MAX));
        assert_eq!(departure.cut_part(WorkClass::Stream, u64::MAX), 0);
    }
}
