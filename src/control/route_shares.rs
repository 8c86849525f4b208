//! Shares of a route by release and version, and the routes of which a change moves requests.

use std::collections::{BTreeMap, BTreeSet};

use super::watch_set::ReleaseKey;
use crate::model::{ChangeSet, RouteName, TableSpec, TableState};

/// Shares of the releases that have some, from 0 to 1.
pub(super) type Shares = BTreeMap<ReleaseKey, f64>;

/// A route whose requests a change moves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MovedRoute {
    pub(super) route: RouteName,
    pub(super) before: Shares,
    pub(super) after: Shares,
}

/// Shares of a route in a table; `None` if it is not there.
pub(super) fn shares(spec: &TableSpec, route: &RouteName) -> Option<Shares> {
    let route = spec.route(route)?;
    let share = |release| {
        let version = spec.release(release)?.version.clone();
        Some(((release.clone(), version), route.share(release)))
    };
    Some(route.weighed().filter_map(share).collect())
}

/// All releases of a route's split, those without a weight included.
pub(super) fn releases(spec: &TableSpec, route: &RouteName) -> BTreeSet<ReleaseKey> {
    let Some(route) = spec.route(route) else {
        return BTreeSet::new();
    };
    let key = |name| Some((spec.release(name)?, name));
    let keys = route.split.keys().filter_map(key);
    keys.map(|(spec, name)| (name.clone(), spec.version.clone()))
        .collect()
}

/// True if both give each release the same share.
pub(super) fn are_same(one: &Shares, other: &Shares) -> bool {
    let is_near = |((a, one), (b, other)): ((&ReleaseKey, &f64), (&ReleaseKey, &f64))| {
        a == b && (one - other).abs() < 1e-9
    };
    one.len() == other.len() && one.iter().zip(other).all(is_near)
}

/// The routes of both tables whose shares a change moves. Of a release with another version those among `known` are looked
/// at, beside the routes that the change touches.
pub(super) fn moved<'a>(
    (before, after): (&TableState, &TableState),
    touched: &ChangeSet,
    known: impl Iterator<Item = &'a RouteName>,
) -> Vec<MovedRoute> {
    let has_touched = |route: &&RouteName| {
        let spec = after.spec.route(route);
        spec.is_some_and(|spec| spec.weighed().any(|name| touched.releases.contains(name)))
    };
    let known = known.filter(|_| !touched.releases.is_empty());
    let mut routes: BTreeSet<_> = known.filter(has_touched).cloned().collect();
    routes.extend(touched.routes.iter().cloned());
    let moved = routes.into_iter().filter_map(|route| {
        let both = shares(&before.spec, &route).zip(shares(&after.spec, &route));
        let (before, after) = both.filter(|(before, after)| !are_same(before, after))?;
        Some(MovedRoute {
            route,
            before,
            after,
        })
    });
    moved.collect()
}

/// Share of a release, 0 if it has none.
pub(super) fn share(shares: &Shares, release: &ReleaseKey) -> f64 {
    shares.get(release).copied().unwrap_or(0.0)
}

impl MovedRoute {
    /// Releases that get less.
    pub(super) fn taken_back(&self) -> Vec<ReleaseKey> {
        let less = |key: &&ReleaseKey| share(&self.after, key) < share(&self.before, key) - 1e-9;
        self.before.keys().filter(less).cloned().collect()
    }

    /// Releases that get more.
    pub(super) fn restored(&self) -> Vec<ReleaseKey> {
        let back = Self {
            route: self.route.clone(),
            before: self.after.clone(),
            after: self.before.clone(),
        };
        back.taken_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TableDocument;

    fn table(version: &str, green: u32) -> TableState {
        let json = format!(
            r#"{{"releases":{{"blue":{{"version":"1","endpoints":["http://127.0.0.1:1"]}},
                "green":{{"version":"{version}","endpoints":["http://127.0.0.1:2"]}}}},
               "routes":[{{"name":"chat","split":{{"blue":{},"green":{green}}}}},
                {{"name":"tools","path_prefix":"/tools","split":{{"blue":1,"green":0}}}}]}}"#,
            100 - green
        );
        let document: TableDocument = serde_json::from_str(&json).unwrap();
        document.into_state(&TableState::default())
    }

    fn between(before: &TableState, after: &TableState) -> Vec<MovedRoute> {
        let touched = ChangeSet::between(before, after);
        let known: Vec<RouteName> = ["chat", "tools"].map(|name| name.parse().unwrap()).into();
        moved((before, after), &touched, known.iter())
    }

    #[test]
    fn a_route_moves_with_its_shares_and_with_a_version_that_has_some() {
        let (five, ten) = (table("2", 5), table("2", 10));
        let back = between(&ten, &five);
        assert_eq!(back.len(), 1);
        let names = |releases: Vec<ReleaseKey>| -> Vec<String> {
            let name = |(name, version)| format!("{name} {version}");
            releases.into_iter().map(name).collect()
        };
        assert_eq!(names(back[0].taken_back()), ["green 2"]);
        assert_eq!(names(back[0].restored()), ["blue 1"]);
        let newer = between(&five, &table("3", 5));
        assert_eq!(newer.len(), 1, "tools gives green nothing");
        assert_eq!(names(newer[0].taken_back()), ["green 2"]);
        assert_eq!(names(newer[0].restored()), ["green 3"]);
        assert!(between(&five, &five).is_empty());
        assert!(between(&table("2", 0), &table("3", 0)).is_empty());
    }
}
