//! A route as it is decided: what it matches and how its requests are split over releases.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HumanDuration, ReleaseName, RouteName, Weights};

/// What was decided about a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// Its name, unique in the table.
    pub name: RouteName,
    /// The host to match: exact (`agents.example.com`) or a suffix (`*.example.com`); any host when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Further hosts to match, written as `host` is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The exact path to match, instead of `path_prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The path prefix to match, at a segment boundary; `/` when neither is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// Header fields that must be present with exactly these values; names are lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Weights per release, relative, 0 to 1,000,000.
    #[schema(schema_with = super::schema::weights)]
    pub split: Weights,
    /// The release that an abort gives everything to; by default the one that last had all the weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<ReleaseName>,
    /// Where a session's key is looked for, in order; without a key each request is drawn at random.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affinity: Vec<AffinitySource>,
    /// Time limits.
    #[serde(default, skip_serializing_if = "TimeoutsSpec::is_default")]
    pub timeouts: TimeoutsSpec,
    /// What to take off the front of the path before it is sent on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<StripPrefix>,
    /// The `Host` that the endpoint sees.
    #[serde(default, skip_serializing_if = "HostHeader::is_default")]
    pub host_header: HostHeader,
    /// The name of a response header that names the release, such as `x-release`; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose_release: Option<String>,
    /// The protocols that a connection may be upgraded to beside WebSocket, such as `tcp` or `SPDY/3.1`; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upgrades: Vec<String>,
    /// The release that last had all the weight. Kept by changes, not written by people, not part of the digest.
    #[serde(skip)]
    pub last_whole: Option<ReleaseName>,
}

/// How a route matches a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathMatch<'a> {
    /// The whole path.
    Exact(&'a str),
    /// The front of the path, up to a segment boundary.
    Prefix(&'a str),
}

impl RouteSpec {
    /// All hosts that the route matches; none stands for any.
    pub fn all_hosts(&self) -> impl Iterator<Item = &str> {
        self.host.iter().chain(&self.hosts).map(String::as_str)
    }

    /// How the route matches a path.
    pub fn path_match(&self) -> PathMatch<'_> {
        match (&self.path, &self.path_prefix) {
            (Some(path), _) => PathMatch::Exact(path),
            (None, Some(prefix)) => PathMatch::Prefix(prefix),
            (None, None) => PathMatch::Prefix("/"),
        }
    }

    /// The prefix that is taken off the path before it is sent on.
    pub fn stripped_prefix(&self) -> Option<&str> {
        match self.strip_prefix.as_ref()? {
            StripPrefix::Whole(false) => None,
            StripPrefix::Whole(true) => self.path_prefix.as_deref(),
            StripPrefix::Prefix(prefix) => Some(prefix),
        }
    }

    /// Whether a connection may be upgraded to a protocol that is no WebSocket.
    pub fn upgrades_to(&self, protocol: &[u8]) -> bool {
        let is_it = |name: &String| name.as_bytes().eq_ignore_ascii_case(protocol);
        self.upgrades.iter().any(is_it)
    }

    /// The releases with a weight that is not 0.
    pub fn weighed(&self) -> impl Iterator<Item = &ReleaseName> {
        let weighed = self.split.iter().filter(|(_, weight)| **weight > 0);
        weighed.map(|(name, _)| name)
    }

    /// The share of the requests that a release gets, from 0 to 1.
    pub fn share(&self, release: &ReleaseName) -> f64 {
        let total: f64 = self.split.values().map(|weight| f64::from(*weight)).sum();
        let weight = self.split.get(release).copied().unwrap_or_default();
        if total > 0.0 {
            f64::from(weight) / total
        } else {
            0.0
        }
    }

    /// The release that has all the weight, if one has.
    pub fn whole(&self) -> Option<&ReleaseName> {
        let mut weighed = self.weighed();
        weighed.next().filter(|_| weighed.next().is_none())
    }

    /// The stable release: the named one, or the one that last had all the weight. Only a release in the split is: what
    /// has left it is nothing to go back to.
    pub fn stable_release(&self) -> Option<&ReleaseName> {
        let candidates = [self.stable.as_ref(), self.last_whole.as_ref()];
        let in_split = |name: &&ReleaseName| self.split.contains_key(*name);
        candidates.into_iter().flatten().find(in_split)
    }
}

/// What `strip_prefix` takes off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum StripPrefix {
    /// `true`: the route's own `path_prefix`.
    Whole(bool),
    /// This prefix, which the route's `path_prefix` must begin with.
    Prefix(String),
}

/// Where a session's key is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AffinitySource {
    /// The value of a header field.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
}

/// The `Host` that an endpoint sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostHeader {
    /// What the client asked for.
    #[default]
    Preserve,
    /// The endpoint's own authority.
    Endpoint,
}

impl HostHeader {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    fn is_default(&self) -> bool {
        *self == Self::Preserve
    }
}

/// Time limits of a route; where one is absent, the default of the listener holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeoutsSpec {
    /// Connecting to an endpoint, TLS included; 3 s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<HumanDuration>,
    /// Silence before the first byte and between bytes of an answer; 600 s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<HumanDuration>,
    /// Silence of a WebSocket, both directions; 3600 s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket_idle: Option<HumanDuration>,
    /// The whole request, first byte to last; without a limit by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<HumanDuration>,
}

impl TimeoutsSpec {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl RouteSpec {
    /// A route that matches everything, with this split and nothing else.
    pub fn plain(name: RouteName, split: Weights) -> Self {
        Self {
            name,
            host: None,
            hosts: Vec::new(),
            path: None,
            path_prefix: None,
            headers: BTreeMap::new(),
            split,
            stable: None,
            affinity: Vec::new(),
            timeouts: TimeoutsSpec::default(),
            strip_prefix: None,
            host_header: HostHeader::default(),
            expose_release: None,
            upgrades: Vec::new(),
            last_whole: None,
        }
    }

    /// Notes the release that has all the weight, or keeps the one that had it before while it is in the split.
    pub fn keep_whole(&mut self, before: Option<&ReleaseName>) {
        let before = before.filter(|before| self.split.contains_key(*before));
        self.last_whole = self.whole().or(before).cloned();
    }
}

impl RouteSpec {
    /// Whether another route matches exactly the same requests as this one.
    pub fn matches_like(&self, other: &Self) -> bool {
        let hosts =
            |route: &Self| -> BTreeSet<String> { route.all_hosts().map(Into::into).collect() };
        (&self.name, hosts(self), self.path_match(), &self.headers)
            == (
                &other.name,
                hosts(other),
                other.path_match(),
                &other.headers,
            )
    }
}
