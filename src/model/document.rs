//! Document form of a table: in the configuration file, in `PUT /v1/table`, and in the output of `switchback check`.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    EndpointSpec, FlagName, FlagSpec, FlagSpecs, Hashed, ReleaseName, ReleaseSpec, Rosters,
    RouteSpec, TableSpec, TableState,
};

/// Document form of a table: releases with endpoints, routes and flags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TableDocument {
    /// Releases by name.
    #[serde(default)]
    pub releases: BTreeMap<ReleaseName, ReleaseDocument>,
    /// Routes; if two match a request equally well, the earlier one is used.
    #[serde(default)]
    pub routes: Vec<RouteSpec>,
    /// Feature flags by name, at most 10,000.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<FlagName, FlagSpec>,
}

/// Document form of a release: its spec and its endpoints.
///
/// The fields of [`ReleaseSpec`] are written next to `endpoints`; unknown keys are rejected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawDocument", into = "RawDocument")]
pub struct ReleaseDocument {
    /// Spec without the endpoints.
    pub spec: ReleaseSpec,
    /// Current endpoints.
    pub endpoints: Vec<EndpointSpec>,
}

/// Flat form for serde. `serde(flatten)` cannot reject unknown keys, so the fields are repeated here.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(description = "A release document: the decisions and the endpoints.")]
struct RawDocument {
    #[serde(default, skip_serializing_if = "super::Version::is_empty")]
    version: super::Version,
    #[schema(min_items = 1, max_items = 1024)]
    endpoints: Vec<EndpointSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health: Option<super::HealthSpec>,
    #[serde(default)]
    protocol: super::Protocol,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<super::UpstreamTls>,
    #[serde(default)]
    limits: super::LimitsSpec,
    #[serde(default, skip_serializing_if = "super::Balance::is_default")]
    balance: super::Balance,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slow_start: Option<super::HumanDuration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_retry_after: Option<super::HumanDuration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ejection: Option<super::EjectionSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rollback: Option<super::RollbackSpec>,
}

impl From<RawDocument> for ReleaseDocument {
    fn from(flat: RawDocument) -> Self {
        let RawDocument {
            version,
            endpoints,
            health,
            protocol,
            tls,
            limits,
            balance,
            slow_start,
            max_retry_after,
            ejection,
            rollback,
        } = flat;
        Self {
            spec: ReleaseSpec {
                version,
                health,
                protocol,
                tls,
                limits,
                balance,
                slow_start,
                max_retry_after,
                ejection,
                rollback,
            },
            endpoints,
        }
    }
}

impl From<ReleaseDocument> for RawDocument {
    fn from(document: ReleaseDocument) -> Self {
        let ReleaseDocument {
            spec:
                ReleaseSpec {
                    version,
                    health,
                    protocol,
                    tls,
                    limits,
                    balance,
                    slow_start,
                    max_retry_after,
                    ejection,
                    rollback,
                },
            endpoints,
        } = document;
        Self {
            version,
            endpoints,
            health,
            protocol,
            tls,
            limits,
            balance,
            slow_start,
            max_retry_after,
            ejection,
            rollback,
        }
    }
}

impl utoipa::PartialSchema for ReleaseDocument {
    fn schema() -> RefOr<Schema> {
        <RawDocument as utoipa::PartialSchema>::schema()
    }
}

impl ToSchema for ReleaseDocument {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ReleaseDocument")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        RawDocument::schemas(schemas);
    }
}

impl TableDocument {
    /// Document of a state.
    pub fn of(state: &TableState) -> Self {
        let release = |(name, spec): (&ReleaseName, &Arc<Hashed<ReleaseSpec>>)| {
            let endpoints = state.endpoints(name).to_vec();
            (
                name.clone(),
                ReleaseDocument {
                    spec: (***spec).clone(),
                    endpoints,
                },
            )
        };
        Self {
            releases: state.spec.releases().iter().map(release).collect(),
            routes: state
                .spec
                .routes()
                .iter()
                .map(|route| RouteSpec {
                    last_whole: None,
                    ..(***route).clone()
                })
                .collect(),
            flags: document_of(state.spec.flags()),
        }
    }

    /// State that this document describes. Entries equal to the previous state's are shared with it, and rosters of
    /// versions that the document does not name are kept.
    pub fn into_state(self, previous: &TableState) -> TableState {
        let mut rosters: Rosters = (*previous.rosters).clone();
        let mut releases = BTreeMap::new();
        for (name, ReleaseDocument { spec, endpoints }) in self.releases {
            rosters.insert((name.clone(), spec.version.clone()), endpoints.into());
            let old = previous
                .spec
                .release(&name)
                .filter(|old| ****old == spec)
                .cloned();
            releases.insert(name, old.unwrap_or_else(|| Arc::new(Hashed::new(spec))));
        }
        let routes = self.routes.into_iter().map(|mut route| {
            let old = previous.spec.route(&route.name);
            route.keep_whole(old.and_then(|old| old.last_whole.as_ref()));
            old.filter(|old| ****old == route)
                .cloned()
                .unwrap_or_else(|| Arc::new(Hashed::new(route)))
        });
        let spec = TableSpec::new(releases, routes);
        TableState {
            spec: spec.with_flags(specs_of(self.flags, previous.spec.flags())),
            rosters: Arc::new(rosters),
        }
    }
}

fn document_of(flags: &FlagSpecs) -> BTreeMap<FlagName, FlagSpec> {
    let flag =
        |(name, spec): (&FlagName, &Arc<Hashed<FlagSpec>>)| (name.clone(), (***spec).clone());
    flags.iter().map(flag).collect()
}

/// The flags of a document; equal ones are shared with the previous table.
fn specs_of(document: BTreeMap<FlagName, FlagSpec>, previous: &FlagSpecs) -> FlagSpecs {
    let mut all_same = document.len() == previous.len();
    let flag = |(name, spec): (FlagName, FlagSpec)| {
        let old = previous.get(&name).filter(|old| ****old == spec);
        all_same &= old.is_some();
        let spec = old.map_or_else(|| Arc::new(Hashed::new(spec)), Arc::clone);
        (name, spec)
    };
    let flags: FlagSpecs = document.into_iter().map(flag).collect();
    if all_same { previous.clone() } else { flags }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_a_state_and_back() {
        let text = r#"{"releases":{"blue":{"version":"1","endpoints":["http://a:1"]}},
            "routes":[{"name":"chat","split":{"blue":1},"affinity":[{"header":"x-session-id"}],"strip_prefix":true}],
            "flags":{"new":{"type":"number","variants":{"a":1,"b":0.1},"default":"a","rules":[{"split":{"b":1}}]}}}"#;
        let document: TableDocument = serde_json::from_str(text).unwrap();
        let state = document.clone().into_state(&TableState::default());
        assert_eq!(TableDocument::of(&state), document);
        let again = document.into_state(&state);
        assert!(Arc::ptr_eq(
            again.spec.routes().get(0).unwrap(),
            state.spec.routes().get(0).unwrap()
        ));
        assert!(again.spec.flags().is_shared_with(state.spec.flags()));
        assert_eq!(again.spec.digest(), state.spec.digest());
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(
            serde_json::from_str::<ReleaseDocument>(r#"{"endpoints":[],"color":"blue"}"#).is_err()
        );
        assert!(serde_json::from_str::<TableDocument>(r#"{"release":{}}"#).is_err());
    }
}
