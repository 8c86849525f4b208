//! Spec of a route: its matches, and the split of its requests over releases.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AffinitySource, AgentCards, AgentProtocol, CompressSpec, CorsSpec, DrillRequestSpec, Fallback,
    FeedbackBy, FlagName, GuardSpec, HeaderChangesSpec, InFlightSpec, MaintenanceSpec, MirrorSpec,
    Overrides, PauseSpec, PinLost, PinSource, PublicUrl, RateLimitSpec, RedirectSpec, ReleaseName,
    RespondSpec, RetriesSpec, RouteName, Size, TimeoutsSpec, Weights,
};

/// Decisions about a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// Its name, unique in the table.
    pub name: RouteName,
    /// Host to match: exact (`agents.example.com`) or a suffix (`*.example.com`); any host if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Further hosts to match, in the same form as `host`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Exact path to match, instead of `path_prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Path prefix to match, at a segment boundary; `/` if neither is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// Header fields that must be present with exactly these values; names are lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Methods to match; any if empty. `GET` matches `HEAD` as well.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schema(max_items = 16)]
    pub methods: BTreeSet<String>,
    /// Parameters of the query that must be present with exactly these values, without their escapes; of several with one
    /// name the first counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Changes of the header fields that endpoints get.
    #[serde(default, skip_serializing_if = "HeaderChangesSpec::is_empty")]
    pub request_headers: HeaderChangesSpec,
    /// Changes of the header fields that clients get, in responses of endpoints and in our own.
    #[serde(default, skip_serializing_if = "HeaderChangesSpec::is_empty")]
    pub response_headers: HeaderChangesSpec,
    /// Redirect of its requests; none by default. A route with one needs no split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<RedirectSpec>,
    /// Fixed response to its requests, in place of a split; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<RespondSpec>,
    /// Maintenance: while it is on, requests get a 503. Off by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<MaintenanceSpec>,
    /// Weights per release, relative, 0 to 1,000,000. Only a route with `redirect` or `respond` may have none.
    #[serde(default, skip_serializing_if = "Weights::is_empty")]
    #[schema(schema_with = super::schema::weights)]
    pub split: Weights,
    /// Release that an abort gives all weight to; by default the one that last had it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<ReleaseName>,
    /// Sources of a session's affinity key, in order; a request without a key is split at random.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affinity: Vec<AffinitySource>,
    /// Fields that carry session ids of the endpoints. An id leaves sealed, with its release and endpoint; a request that
    /// brings it back goes there, whatever the weights are. None by default; with `agent_protocol = "mcp"` the header
    /// `mcp-session-id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinSource>,
    /// Handling of a request whose pinned endpoint is gone or unhealthy.
    #[serde(default, skip_serializing_if = "PinLost::is_default")]
    pub pin_lost: PinLost,
    /// Policies for what is in flight on a release when it leaves the route, by cause and class.
    #[serde(default, skip_serializing_if = "InFlightSpec::is_default")]
    pub in_flight: InFlightSpec,
    /// Requests that may name their release themselves.
    #[serde(default, skip_serializing_if = "Overrides::is_default")]
    pub overrides: Overrides,
    /// Time limits.
    #[serde(default, skip_serializing_if = "TimeoutsSpec::is_default")]
    pub timeouts: TimeoutsSpec,
    /// Retries.
    #[serde(default, skip_serializing_if = "RetriesSpec::is_default")]
    pub retries: RetriesSpec,
    /// Release that gets the requests that another one could not answer; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// Prefix to remove from the path before the request is forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<StripPrefix>,
    /// Protocol of the agents: our own errors have its form, and its defaults apply; plain HTTP if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_protocol: Option<AgentProtocol>,
    /// Handling of agent cards that name an endpoint of the route: by default they name the proxy instead. Only where
    /// `agent_protocol` is `a2a`.
    #[serde(default, skip_serializing_if = "AgentCards::is_default")]
    pub agent_card: AgentCards,
    /// URL of the proxy in agent cards; by default the scheme and host of the request. A prefix that is removed from
    /// paths follows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<PublicUrl>,
    /// `Host` sent to the endpoint: by default `endpoint` if `agent_protocol` is `mcp`, otherwise `preserve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_header: Option<HostHeader>,
    /// Name of a response header with the release, such as `x-release`; none if absent. `sealed`: a sealed stamp in
    /// `x-switchback-stamp` instead, with which users say later what they think of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose_release: Option<String>,
    /// True to name the release, the reason of the decision and the revision in the field `x-switchback-decision` of every
    /// response.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expose_decision: bool,
    /// Names that feedback may have for the answers of the route, beside a stamp: each worker remembers the origin of its
    /// last answers. None by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 2)]
    pub feedback_by: Vec<FeedbackBy>,
    /// Flags that endpoints get with each request, in the field `x-flag-NAME`; at most 16. Such fields of clients are
    /// removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub flags: Vec<FlagName>,
    /// True to send the flags as members `flag.NAME` of W3C `baggage` as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flag_baggage: bool,
    /// Synthetic requests for drills: `smoke` sends each to the predecessor, `full` sends them as a load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub drill: Vec<DrillRequestSpec>,
    /// Release that gets copies of a share of the requests; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorSpec>,
    /// Limit on the rate of requests with the same key; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimitSpec>,
    /// Longest body of a request; a longer one is refused with 413. No limit by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^([0-9]{1,12}(B|KiB|MiB)|[0-9]{1,9}GiB)$", example = "1MiB")]
    pub max_body: Option<Size>,
    /// Credentials that requests need; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardSpec>,
    /// Web pages of other origins that may read answers; the endpoints decide by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<CorsSpec>,
    /// Compression of the answers of its endpoints, with gzip; none by default.
    #[serde(
        default,
        with = "super::compress",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(schema_with = super::compress::schema)]
    pub compress: Option<CompressSpec>,
    /// Pause: requests wait until it is gone. Not paused by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<PauseSpec>,
    /// Upgrade protocols allowed in addition to WebSocket, such as `tcp` or `SPDY/3.1`; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upgrades: Vec<String>,
    /// Release that last had all the weight. Maintained by changes, not by users, and not part of the digest.
    #[serde(skip)]
    pub last_whole: Option<ReleaseName>,
}

/// Value of `expose_release` for a stamp.
const SEALED: &str = "sealed";

/// Path match of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathMatch<'a> {
    /// The whole path.
    Exact(&'a str),
    /// A path prefix, up to a segment boundary.
    Prefix(&'a str),
}

impl RouteSpec {
    /// All hosts that the route matches; empty for any host.
    pub fn all_hosts(&self) -> impl Iterator<Item = &str> {
        self.host.iter().chain(&self.hosts).map(String::as_str)
    }

    /// Fields that carry session ids: those of `pins`, or those of the agents' protocol.
    pub fn effective_pins(&self) -> Vec<PinSource> {
        match self.agent_protocol {
            Some(AgentProtocol::Mcp) if self.pins.is_empty() => {
                vec![PinSource::Header("mcp-session-id".to_owned())]
            }
            _ => self.pins.clone(),
        }
    }

    /// True if sessions are pinned: by fields of `pins`, or by ids that the agents' protocol has.
    pub fn has_pins(&self) -> bool {
        !self.pins.is_empty() || self.agent_protocol.is_some()
    }

    /// True if a request may belong to a session: by its affinity or by a pin.
    pub fn has_sessions(&self) -> bool {
        !self.affinity.is_empty() || self.has_pins()
    }

    /// Name of the response header with the release, if there is one.
    #[inline]
    pub fn exposed_field(&self) -> Option<&str> {
        self.expose_release
            .as_deref()
            .filter(|_| !self.is_stamped())
    }

    /// True if answers carry a sealed stamp.
    pub fn is_stamped(&self) -> bool {
        self.expose_release.as_deref() == Some(SEALED)
    }

    /// True if users can say what they think of its answers: by stamps, or by what is remembered of them.
    pub fn takes_feedback(&self) -> bool {
        self.is_stamped() || !self.feedback_by.is_empty()
    }

    /// True if it can answer its requests without a release.
    pub fn answers_itself(&self) -> bool {
        self.redirect.is_some() || self.respond.is_some()
    }

    /// True while it is in maintenance.
    pub fn is_in_maintenance(&self) -> bool {
        self.maintenance.as_ref().is_some_and(|spec| spec.on)
    }

    /// Path match of the route.
    pub fn path_match(&self) -> PathMatch<'_> {
        match (&self.path, &self.path_prefix) {
            (Some(path), _) => PathMatch::Exact(path),
            (None, Some(prefix)) => PathMatch::Prefix(prefix),
            (None, None) => PathMatch::Prefix("/"),
        }
    }

    /// Prefix that is removed from the path before the request is forwarded.
    pub fn stripped_prefix(&self) -> Option<&str> {
        match self.strip_prefix.as_ref()? {
            StripPrefix::Whole(false) => None,
            StripPrefix::Whole(true) => self.path_prefix.as_deref(),
            StripPrefix::Prefix(prefix) => Some(prefix),
        }
    }

    /// `Host` that endpoints get. An MCP server on loopback refuses every name but its own (421), as a guard against
    /// rebinding.
    pub fn effective_host_header(&self) -> HostHeader {
        self.host_header.unwrap_or(match self.agent_protocol {
            Some(AgentProtocol::Mcp) => HostHeader::Endpoint,
            Some(AgentProtocol::A2a) | None => HostHeader::Preserve,
        })
    }

    /// True if agent cards that name an endpoint of the route are rewritten.
    pub fn rewrites_cards(&self) -> bool {
        self.agent_protocol == Some(AgentProtocol::A2a) && self.agent_card == AgentCards::Rewrite
    }

    /// True if an upgrade to this protocol, other than WebSocket, is allowed.
    pub fn upgrades_to(&self, protocol: &[u8]) -> bool {
        let is_it = |name: &String| name.as_bytes().eq_ignore_ascii_case(protocol);
        self.upgrades.iter().any(is_it)
    }

    /// Releases with a weight above 0.
    pub fn weighed(&self) -> impl Iterator<Item = &ReleaseName> {
        let weighed = self.split.iter().filter(|(_, weight)| **weight > 0);
        weighed.map(|(name, _)| name)
    }

    /// True if a request without a pin may come to the release: by its weight, or as the fallback.
    pub fn may_choose(&self, release: &ReleaseName) -> bool {
        let fallback = self.fallback.and_then(|_| self.stable_release());
        self.weighed().chain(fallback).any(|own| own == release)
    }

    /// Share of the requests of a release, from 0 to 1.
    pub fn share(&self, release: &ReleaseName) -> f64 {
        let total: f64 = self.split.values().map(|weight| f64::from(*weight)).sum();
        let weight = self.split.get(release).copied().unwrap_or_default();
        if total > 0.0 {
            f64::from(weight) / total
        } else {
            0.0
        }
    }

    /// Release that has all the weight, if any.
    pub fn whole(&self) -> Option<&ReleaseName> {
        let mut weighed = self.weighed();
        weighed.next().filter(|_| weighed.next().is_none())
    }

    /// The stable release: the named one, or the one that last had all the weight. It must be in the split: otherwise
    /// there is nothing to go back to.
    pub fn stable_release(&self) -> Option<&ReleaseName> {
        let candidates = [self.stable.as_ref(), self.last_whole.as_ref()];
        let in_split = |name: &&ReleaseName| self.split.contains_key(*name);
        candidates.into_iter().flatten().find(in_split)
    }
}

/// Prefix that `strip_prefix` removes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum StripPrefix {
    /// `true`: the route's own `path_prefix`.
    Whole(bool),
    /// This prefix, which the route's `path_prefix` must begin with.
    Prefix(String),
}

/// `Host` sent to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostHeader {
    /// The host that the client requested.
    Preserve,
    /// The endpoint's own authority.
    Endpoint,
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
            methods: BTreeSet::new(),
            query: BTreeMap::new(),
            request_headers: HeaderChangesSpec::default(),
            response_headers: HeaderChangesSpec::default(),
            redirect: None,
            respond: None,
            maintenance: None,
            split,
            stable: None,
            affinity: Vec::new(),
            pins: Vec::new(),
            pin_lost: PinLost::default(),
            in_flight: InFlightSpec::default(),
            overrides: Overrides::default(),
            timeouts: TimeoutsSpec::default(),
            retries: RetriesSpec::default(),
            fallback: None,
            strip_prefix: None,
            agent_protocol: None,
            agent_card: AgentCards::default(),
            public_url: None,
            host_header: None,
            expose_release: None,
            expose_decision: false,
            feedback_by: Vec::new(),
            flags: Vec::new(),
            flag_baggage: false,
            drill: Vec::new(),
            mirror: None,
            rate_limit: None,
            max_body: None,
            guard: None,
            cors: None,
            compress: None,
            pause: None,
            upgrades: Vec::new(),
            last_whole: None,
        }
    }

    /// Updates the release that has all the weight; keeps the previous one while it is in the split.
    pub fn keep_whole(&mut self, before: Option<&ReleaseName>) {
        let before = before.filter(|before| self.split.contains_key(*before));
        self.last_whole = self.whole().or(before).cloned();
    }
}

impl RouteSpec {
    /// True if another route matches exactly the same requests.
    pub fn matches_like(&self, other: &Self) -> bool {
        let hosts =
            |route: &Self| -> BTreeSet<String> { route.all_hosts().map(Into::into).collect() };
        (&self.name, hosts(self), self.path_match())
            == (&other.name, hosts(other), other.path_match())
            && (&self.headers, &self.query, &self.methods)
                == (&other.headers, &other.query, &other.methods)
    }
}
