//! A route in the status: its matches, and what its requests get.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::DrillSummary;
use crate::model::{Percent, ReleaseName, Revision, RouteName, RouteSpec};

/// A route and its split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteStatus {
    /// Its name.
    pub name: RouteName,
    /// The host to match; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Further hosts to match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Exact path to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Path prefix to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// Header fields that must be present with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Methods to match; any when absent.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub methods: BTreeSet<String>,
    /// Parameters of the query that must be present with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// The split of the requests, by name of the release.
    pub split: Vec<Share>,
    /// Status of its redirect; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<u16>,
    /// Status of its fixed response; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<u16>,
    /// True while the route is in maintenance; absent otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
    /// True while the route is paused; absent otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Guards that its requests have to pass, by their keys; absent if it has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<RouteGuard>,
    /// The release that an abort would give all requests to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<ReleaseName>,
    /// The release that gets copies of a share of its requests; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorShare>,
    /// The revision that last changed it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<Revision>,
    /// The last drill of it that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillSummary>,
}

/// A guard of a route, by its key in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteGuard {
    /// Web pages of other origins.
    Cors,
    /// Credentials.
    Guard,
    /// Longest body.
    MaxBody,
    /// Limit of the rate of requests.
    RateLimit,
}

/// A release that gets copies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MirrorShare {
    /// The release.
    pub release: ReleaseName,
    /// Percent of the requests that are copied.
    pub percent: Percent,
}

/// Facts about a route, beside its decisions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteFacts {
    /// The revision that last changed it, if known.
    pub changed_by: Option<Revision>,
    /// The last drill of it that has ended.
    pub drill: Option<DrillSummary>,
}

/// A release in a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Share {
    /// The release.
    pub release: ReleaseName,
    /// Its weight.
    pub weight: u32,
    /// Its share of the requests, 0 to 1.
    pub share: f64,
}

impl RouteStatus {
    /// A configured route, with the revision that last changed it.
    pub fn of(route: &RouteSpec, facts: &RouteFacts) -> Self {
        // Summed once, not for each release: a split may have many.
        let total: f64 = route.split.values().map(|weight| f64::from(*weight)).sum();
        let share = |(release, weight): (&ReleaseName, &u32)| Share {
            release: release.clone(),
            weight: *weight,
            share: if total > 0.0 {
                f64::from(*weight) / total
            } else {
                0.0
            },
        };
        Self {
            name: route.name.clone(),
            host: route.host.clone(),
            hosts: route.hosts.clone(),
            path: route.path.clone(),
            path_prefix: route.path_prefix.clone(),
            headers: route.headers.clone(),
            methods: route.methods.clone(),
            query: route.query.clone(),
            split: route.split.iter().map(share).collect(),
            redirect: route.redirect.as_ref().map(|redirect| redirect.status),
            respond: route.respond.as_ref().map(|fixed| fixed.status),
            maintenance: route.is_in_maintenance(),
            paused: route.pause.is_some(),
            guards: guards(route),
            stable: route.stable_release().cloned(),
            mirror: route.mirror.as_ref().map(|mirror| MirrorShare {
                release: mirror.release.clone(),
                percent: mirror.percent,
            }),
            changed_by: facts.changed_by,
            drill: facts.drill.clone(),
        }
    }
}

fn guards(route: &RouteSpec) -> Vec<RouteGuard> {
    let all = [
        (RouteGuard::RateLimit, route.rate_limit.is_some()),
        (RouteGuard::MaxBody, route.max_body.is_some()),
        (RouteGuard::Guard, route.guard.is_some()),
        (RouteGuard::Cors, route.cors.is_some()),
    ];
    let set = all.into_iter().filter(|(_, is_set)| *is_set);
    set.map(|(guard, _)| guard).collect()
}
