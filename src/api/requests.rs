//! Request bodies of the admin API, other than documents of the table.
//!
//! Unknown keys are rejected: a misspelt `weight` must not be a change without effect.

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::model::{HumanDuration, Percents, ReleaseName, Revision, RouteSpec, Weights};

/// `PUT /v1/routes/{route}/split`: all weights of the route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitRequest {
    /// Weights per release, relative, 0 to 1,000,000; at least one is not 0.
    #[schema(schema_with = crate::model::weights_schema)]
    pub weights: Weights,
    /// Allows leaving out a release that has a weight now, which is refused otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// `PATCH /v1/routes/{route}/split`: the shares of some releases, in percent of the route or as weights. One of the
/// two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SplitPatchRequest {
    /// Percents of the route, 0 to 100; the other releases share the rest in their current proportion. A release that
    /// is not in the split joins it.
    #[serde(skip_serializing_if = "Percents::is_empty")]
    #[schema(schema_with = crate::model::percents_schema)]
    pub percent: Percents,
    /// Weights per release, 0 to 1,000,000; the others keep theirs. The resulting split must have one that is not 0.
    #[serde(skip_serializing_if = "Weights::is_empty")]
    #[schema(schema_with = crate::model::some_weights_schema)]
    pub weights: Weights,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// `POST /v1/routes/{route}/switch`: one release gets all requests, the others stay in the split at 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchRequest {
    /// The release.
    pub to: ReleaseName,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// `POST /v1/routes/{route}/promote`: the canary gets all requests. The body is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromoteRequest {
    /// The release to promote; required only where the canary is ambiguous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<ReleaseName>,
    /// Reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// `POST /v1/routes/{route}/pause`: the requests of the route wait. The body is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PauseRequest {
    /// Longest wait of a request, 1 second to 10 minutes; 30 seconds by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wait: Option<HumanDuration>,
    /// Requests that may wait; 1,000 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 10_000)]
    pub max_waiting: Option<u32>,
    /// Reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// Optional body with only a reason, for an abort and for the rollback of one route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MessageRequest {
    /// Reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// `POST /v1/rollback`: without a body, or with an empty one, restores what was live before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RollbackRequest {
    /// The revision to restore. Not together with `step`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Revision>,
    /// Undo one revision only, even where it is part of a group that a bare rollback would undo whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub step: bool,
    /// Reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// `PUT /v1/routes/{route}`: a [`RouteSpec`] without its name, which is in the path. A body that repeats the name of
/// the path is accepted as well, so that the response of `GET` can be sent back.
#[derive(Debug, Clone, Copy)]
pub struct RouteBody;

impl PartialSchema for RouteBody {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut route)) = RouteSpec::schema() else {
            return RouteSpec::schema();
        };
        route.properties.remove("name");
        route.required.retain(|name| name != "name");
        RefOr::T(Schema::Object(route))
    }
}

impl ToSchema for RouteBody {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed("RouteBody")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        RouteSpec::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_rollback_is_a_bare_one_and_an_unknown_key_is_refused() {
        let bare: RollbackRequest = serde_json::from_str("{}").unwrap();
        assert_eq!(bare, RollbackRequest::default());
        assert_eq!(serde_json::to_string(&bare).unwrap(), "{}");
        let typo = serde_json::from_str::<RollbackRequest>(r#"{"too": 3}"#);
        assert!(typo.unwrap_err().to_string().contains("too"));
    }

    #[test]
    fn the_schema_of_a_route_body_asks_for_no_name() {
        let schema = serde_json::to_value(RouteBody::schema()).unwrap();
        assert!(schema["properties"].get("name").is_none());
        assert!(
            schema
                .get("required")
                .is_none_or(|all| *all == serde_json::json!([]))
        );
        assert_eq!(schema["additionalProperties"], false);
    }
}
