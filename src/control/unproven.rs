//! Releases that would get more requests than they have shown to answer: a notice, which refuses nothing.

use std::collections::BTreeMap;

use super::{Controller, seen_lately::SeenLately, watch_set::ReleaseKey};
use crate::{
    api::Unproven,
    model::{Growth, RouteName, TableSpec},
    table::RollbackTarget,
};

/// Most routes whose requests are looked at.
const MOST_ROUTES: usize = 50;
/// Factor by which a release may exceed what it has shown without a notice: rates differ from minute to minute.
const TOLERATED: f64 = 1.2;

/// Source of the rates of routes and releases.
trait Known {
    /// Requests of a route lately.
    fn seen(&self, route: &RouteName) -> Option<SeenLately>;
    /// Requests a second of a release now, and the most that it has shown, for its healthy endpoints of now.
    fn throughput(&self, release: &ReleaseKey) -> Option<(f64, f64)>;
}

impl Known for Controller {
    fn seen(&self, route: &RouteName) -> Option<SeenLately> {
        self.verifications.seen_lately(&self.fleet, route)
    }

    fn throughput(&self, release: &ReleaseKey) -> Option<(f64, f64)> {
        let (now, most) = self.verifications.throughput(release)?;
        let healthy = self.fleet.roster(&release.0, &release.1).healthy();
        let healthy = u32::try_from(healthy).map_or(f64::MAX, f64::from);
        Some((now, most * healthy))
    }
}

impl Controller {
    /// The releases that get more from one table to another than they have shown in the last day.
    pub(super) fn unproven(&self, before: &TableSpec, after: &TableSpec) -> Vec<Unproven> {
        unproven(before, after, self)
    }

    /// Those of a bare rollback.
    pub(super) fn unproven_by_rollback(&self) -> Vec<Unproven> {
        let live = self.table.load();
        let level = self.table.level(RollbackTarget::Previous);
        level.map_or_else(Vec::new, |level| {
            self.unproven(live.compiled().spec(), &level.spec)
        })
    }
}

fn unproven(before: &TableSpec, after: &TableSpec, known: &impl Known) -> Vec<Unproven> {
    let mut added: BTreeMap<ReleaseKey, f64> = BTreeMap::new();
    for growth in Growth::between(before, after).iter().take(MOST_ROUTES) {
        let seen = known.seen(&growth.route);
        let (Some(seen), Some(route)) = (seen, after.route(&growth.route)) else {
            continue;
        };
        for name in &growth.releases {
            let Some(spec) = after.release(name) else {
                continue;
            };
            let key = (name.clone(), spec.version.clone());
            let then = seen.all_per_minute() * route.share(name);
            let more = (then - seen.per_minute(&key)) / 60.0;
            *added.entry(key).or_default() += more;
        }
    }
    let unproven = added.into_iter().filter_map(|(key, more)| {
        let (now, shown) = known.throughput(&key)?;
        let expected = now + more;
        // Without a healthy endpoint it is not ready, which is another matter.
        let is_more = shown > 0.0 && expected > shown * TOLERATED;
        is_more.then_some(Unproven {
            release: key.0,
            shown,
            expected,
        })
    });
    unproven.collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{control::quarantine::tests::table, model::Version};

    /// Requests a second on the route by release, and what blue has now and has shown.
    struct Road {
        seen: Vec<(&'static str, u64)>,
        blue: Option<(f64, f64)>,
    }

    fn key(name: &str) -> ReleaseKey {
        (name.parse().unwrap(), Version::new("1").unwrap())
    }

    impl Known for Road {
        fn seen(&self, _: &RouteName) -> Option<SeenLately> {
            let begin = Instant::now();
            let seen = self.seen.iter().map(|(name, rate)| (key(name), rate * 100));
            SeenLately::since((begin, begin + Duration::from_secs(100)), seen.collect())
        }

        fn throughput(&self, release: &ReleaseKey) -> Option<(f64, f64)> {
            self.blue.filter(|_| *release == key("blue"))
        }
    }

    fn back(road: &Road) -> Vec<String> {
        let both = [("blue", "1"), ("green", "1")];
        let split = |blue, green| table(&both, &[("chat", &[("blue", blue), ("green", green)])]);
        let found = unproven(&split(5, 95), &split(100, 0), road);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_predecessor_that_has_never_had_so_much_is_named_with_both_numbers() {
        let mut road = Road {
            seen: vec![("blue", 5), ("green", 95)],
            blue: Some((5.0, 40.0)),
        };
        let text = "`blue` has shown 40.0 requests a second in the last day, 40 percent of the 100.0 that it would get";
        assert_eq!(back(&road), [text]);
        road.blue = Some((5.0, 90.0));
        assert_eq!(back(&road), [""; 0], "nearly as much");
        // What it has of other routes is added.
        road.blue = Some((65.0, 90.0));
        assert_eq!(back(&road).len(), 1);
    }

    #[test]
    fn of_what_is_not_known_nothing_is_said() {
        let seen = vec![("green", 95)];
        assert_eq!(back(&Road { seen, blue: None }), [""; 0]);
        let none = Road {
            seen: Vec::new(),
            blue: Some((0.0, 1.0)),
        };
        assert_eq!(back(&none), [""; 0]);
        let dead = Road {
            seen: vec![("green", 95)],
            blue: Some((0.0, 0.0)),
        };
        assert_eq!(back(&dead), [""; 0]);
    }
}
