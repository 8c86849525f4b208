//! All decisions ([`TableSpec`]) and the rosters next to them ([`Rosters`]).

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    ChunkedMap, Digest, EndpointSpec, FlagName, FlagSpec, Hashed, ReleaseName, ReleaseSpec,
    RouteName, RouteSpec, SortedMap, Version,
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

/// Flags by name.
pub type FlagSpecs = SortedMap<FlagName, Arc<Hashed<FlagSpec>>>;

/// All decisions: releases, routes and flags. Entries are shared between revisions.
#[derive(Debug, Clone, Default)]
pub struct TableSpec {
    releases: Arc<BTreeMap<ReleaseName, Arc<Hashed<ReleaseSpec>>>>,
    routes: ChunkedMap<Arc<Hashed<RouteSpec>>>,
    places: Arc<HashMap<RouteName, usize>>,
    flags: FlagSpecs,
    // The digest is the sum of both: of the flags alone, and of all else.
    flags_digest: Digest,
    rest_digest: Digest,
}

impl TableSpec {
    /// Creates a table without flags, with routes in this order. Of two routes with one name, a lookup finds the later one.
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
            flags: FlagSpecs::default(),
            flags_digest: Digest::default(),
            rest_digest: digest,
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
        self.rest_digest.plus(self.flags_digest)
    }

    /// Digest of the flags; equal exactly if they are.
    pub fn flags_digest(&self) -> Digest {
        self.flags_digest
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

    /// All flags by name.
    pub fn flags(&self) -> &FlagSpecs {
        &self.flags
    }

    /// Flag of that name.
    pub fn flag(&self, name: &FlagName) -> Option<&Arc<Hashed<FlagSpec>>> {
        self.flags.get(name)
    }

    /// Copy with a flag added or replaced.
    #[must_use]
    pub fn with_flag(&self, name: FlagName, flag: Arc<Hashed<FlagSpec>>) -> Self {
        let flags_digest = self
            .digest_without_flag(&name)
            .plus(flag_digest(&name, &flag));
        Self {
            flags: self.flags.with(name, flag),
            flags_digest,
            ..self.clone()
        }
    }

    /// Copy without a flag.
    #[must_use]
    pub fn without_flag(&self, name: &FlagName) -> Self {
        Self {
            flags: self.flags.without(name),
            flags_digest: self.digest_without_flag(name),
            ..self.clone()
        }
    }

    /// Copy with other flags.
    #[must_use]
    pub fn with_flags(&self, flags: FlagSpecs) -> Self {
        if flags.is_shared_with(&self.flags) {
            return self.clone();
        }
        let with = |digest: Digest, (name, flag): (&FlagName, &Arc<Hashed<FlagSpec>>)| {
            digest.plus(flag_digest(name, flag))
        };
        Self {
            flags_digest: flags.iter().fold(Digest::default(), with),
            flags,
            ..self.clone()
        }
    }

    /// Digest of the flags without one of them.
    fn digest_without_flag(&self, name: &FlagName) -> Digest {
        match self.flags.get(name) {
            Some(old) => self.flags_digest.minus(flag_digest(name, old)),
            None => self.flags_digest,
        }
    }

    /// Copy with another route at the position of the one with its name; `None` if there is none.
    #[must_use]
    pub fn with_route(&self, route: Arc<Hashed<RouteSpec>>) -> Option<Self> {
        let place = self.place(&route.name)?;
        let old = self.routes.get(place)?;
        let rest_digest = self
            .rest_digest
            .minus(old.hash().at(place))
            .plus(route.hash().at(place));
        Some(Self {
            routes: self.routes.set(place, route),
            rest_digest,
            ..self.clone()
        })
    }

    /// Copy with other releases.
    #[must_use]
    pub fn with_releases(&self, releases: BTreeMap<ReleaseName, Arc<Hashed<ReleaseSpec>>>) -> Self {
        let mut digest = self.rest_digest;
        for (name, release) in self.releases.iter() {
            digest = digest.minus(release_digest(name, release));
        }
        for (name, release) in &releases {
            digest = digest.plus(release_digest(name, release));
        }
        Self {
            releases: Arc::new(releases),
            rest_digest: digest,
            ..self.clone()
        }
    }
}

fn flag_digest(name: &FlagName, flag: &Hashed<FlagSpec>) -> Digest {
    // The name is mixed in by a position of its own, so that two flags that swap names make another table.
    let name = Digest::of(name).at(usize::MAX - 3);
    flag.hash().plus(name).at(usize::MAX - 2)
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

    fn flag(default: &str) -> Arc<Hashed<FlagSpec>> {
        let text = format!(
            r#"{{"type":"boolean","variants":{{"on":true,"off":false}},"default":"{default}"}}"#
        );
        Arc::new(Hashed::new(serde_json::from_str(&text).unwrap()))
    }

    #[test]
    fn the_digest_with_flags_depends_on_the_flags_alone_and_without_one_is_that_of_before() {
        let none = TableSpec::default();
        let name = |name: &str| FlagName::new(name).unwrap();
        let both = none
            .with_flag(name("a"), flag("on"))
            .with_flag(name("b"), flag("off"));
        let swapped = none
            .with_flag(name("a"), flag("off"))
            .with_flag(name("b"), flag("on"));
        assert_ne!(both.digest(), swapped.digest());
        let anew = [(name("b"), flag("off")), (name("a"), flag("on"))];
        let anew = swapped.with_flags(anew.into_iter().collect());
        assert_eq!(anew.digest(), both.digest());
        let replaced = swapped
            .with_flag(name("b"), flag("off"))
            .with_flag(name("a"), flag("on"));
        assert_eq!(replaced.digest(), both.digest());
        let gone = both.without_flag(&name("a")).without_flag(&name("b"));
        assert_eq!(gone.digest(), none.digest());
        assert_eq!(gone.flags_digest(), none.flags_digest());
        let beside = TableSpec::new(BTreeMap::new(), [route("a", &[("blue", 1)])]);
        let beside = beside.with_flags(both.flags().clone());
        assert_eq!(beside.flags_digest(), both.flags_digest());
        assert_ne!(beside.digest(), both.digest());
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
