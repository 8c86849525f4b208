//! All decisions ([`TableSpec`]) and the rosters next to them ([`Rosters`]).

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    ChunkedMap, Digest, EndpointSpec, Hashed, ReleaseName, ReleaseSpec, RouteName, RouteSpec,
    Version,
};

/// Endpoints of each release, by version: the last roster of a version is kept when the version goes.
pub type Rosters = BTreeMap<(ReleaseName, Version), Arc<[EndpointSpec]>>;

/// State that changes apply to: decisions and facts.
#[derive(Debug, Clone, Default)]
pub struct TableState {
    /// Decisions.
    pub spec: TableSpec,
    /// Endpoints of each release, including those of earlier versions.
    pub rosters: Arc<Rosters>,
}

impl TableState {
    /// Endpoints of a release of the table.
    pub fn endpoints(&self, release: &ReleaseName) -> &[EndpointSpec] {
        let Some(spec) = self.spec.release(release) else {
            return &[];
        };
        self.rosters
            .get(&(release.clone(), spec.version.clone()))
            .map_or(&[], |roster| roster)
    }
}

/// All decisions: releases and routes. Entries are shared between revisions.
#[derive(Debug, Clone, Default)]
pub struct TableSpec {
    releases: Arc<BTreeMap<ReleaseName, Arc<Hashed<ReleaseSpec>>>>,
    routes: ChunkedMap<Arc<Hashed<RouteSpec>>>,
    places: Arc<HashMap<RouteName, usize>>,
    digest: Digest,
}

impl TableSpec {
    /// Creates a table with routes in this order. Of two routes with one name, a lookup finds the later one.
    pub fn new(
        releases: BTreeMap<ReleaseName, Arc<Hashed<ReleaseSpec>>>,
        routes: impl IntoIterator<Item = Arc<Hashed<RouteSpec>>>,
    ) -> Self {
        let routes: ChunkedMap<_> = routes.into_iter().collect();
        let places = routes
            .iter()
            .enumerate()
            .map(|(place, route)| (route.name.clone(), place))
            .collect();
        let route_sum = |sum: Digest, (place, route): (usize, &Arc<Hashed<RouteSpec>>)| {
            sum.plus(route.hash().at(place))
        };
        let mut digest = routes.iter().enumerate().fold(Digest::default(), route_sum);
        for (name, release) in &releases {
            digest = digest.plus(release_digest(name, release));
        }
        Self {
            releases: Arc::new(releases),
            routes,
            places: Arc::new(places),
            digest,
        }
    }

    /// Releases with a weight in some split; the others are on standby.
    pub fn weighted(&self) -> HashSet<&ReleaseName> {
        let routes = self.routes().iter();
        let entries = routes.flat_map(|route| route.split.iter());
        let weighted = entries.filter(|(_, weight)| **weight > 0);
        weighted.map(|(release, _)| release).collect()
    }

    /// Digest of the decisions; equal exactly if the decisions are.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// All releases by name.
    pub fn releases(&self) -> &BTreeMap<ReleaseName, Arc<Hashed<ReleaseSpec>>> {
        &self.releases
    }

    /// Release of that name.
    pub fn release(&self, name: &ReleaseName) -> Option<&Arc<Hashed<ReleaseSpec>>> {
        self.releases.get(name)
    }

    /// All routes in order.
    pub fn routes(&self) -> &ChunkedMap<Arc<Hashed<RouteSpec>>> {
        &self.routes
    }

    /// Position of the route of that name.
    pub fn place(&self, name: &RouteName) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// Route of that name.
    pub fn route(&self, name: &RouteName) -> Option<&Arc<Hashed<RouteSpec>>> {
        self.routes.get(self.place(name)?)
    }

    /// Copy with another route at the position of the one with its name; `None` if there is none.
    #[must_use]
    pub fn with_route(&self, route: Arc<Hashed<RouteSpec>>) -> Option<Self> {
        let place = self.place(&route.name)?;
        let old = self.routes.get(place)?;
        let digest = self
            .digest
            .minus(old.hash().at(place))
            .plus(route.hash().at(place));
        Some(Self {
            routes: self.routes.set(place, route),
            digest,
            ..self.clone()
        })
    }

    /// Copy with other releases.
    #[must_use]
    pub fn with_releases(&self, releases: BTreeMap<ReleaseName, Arc<Hashed<ReleaseSpec>>>) -> Self {
        let mut digest = self.digest;
        for (name, release) in self.releases.iter() {
            digest = digest.minus(release_digest(name, release));
        }
        for (name, release) in &releases {
            digest = digest.plus(release_digest(name, release));
        }
        Self {
            releases: Arc::new(releases),
            digest,
            ..self.clone()
        }
    }
}

fn release_digest(name: &ReleaseName, release: &Hashed<ReleaseSpec>) -> Digest {
    // The name is included by its own hash, so that two releases that swap names make another table.
    let name = Digest::of(name);
    release.hash().plus(name).at(usize::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, weights: &[(&str, u32)]) -> Arc<Hashed<RouteSpec>> {
        let split = weights
            .iter()
            .map(|(release, weight)| (ReleaseName::new(release).unwrap(), *weight))
            .collect();
        Arc::new(Hashed::new(RouteSpec::plain(
            RouteName::new(name).unwrap(),
            split,
        )))
    }

    #[test]
    fn the_digest_of_a_replaced_route_is_that_of_the_table_made_anew() {
        let first = TableSpec::new(
            BTreeMap::new(),
            [route("a", &[("blue", 1)]), route("b", &[("blue", 1)])],
        );
        let changed = first.with_route(route("b", &[("blue", 2)])).unwrap();
        let anew = TableSpec::new(
            BTreeMap::new(),
            [route("a", &[("blue", 1)]), route("b", &[("blue", 2)])],
        );
        assert_eq!(changed.digest(), anew.digest());
        assert_ne!(changed.digest(), first.digest());
        let back = changed.with_route(route("b", &[("blue", 1)])).unwrap();
        assert_eq!(back.digest(), first.digest());
    }

    #[test]
    fn releases_count_in_the_digest_by_name() {
        let spec = || Arc::new(Hashed::new(ReleaseSpec::default()));
        let named = |name: &str| BTreeMap::from([(ReleaseName::new(name).unwrap(), spec())]);
        let blue = TableSpec::new(named("blue"), []);
        assert_ne!(blue.digest(), TableSpec::new(named("green"), []).digest());
        assert_eq!(
            TableSpec::default().with_releases(named("blue")).digest(),
            blue.digest()
        );
    }
}
