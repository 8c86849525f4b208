//! What the admin API takes: the bodies that are not a document of the table itself.
//!
//! Unknown keys are refused: a misspelt `weight` must not be a change that does nothing.

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::model::{Percents, ReleaseName, Revision, RouteSpec, Weights};

/// `PUT /v1/routes/{route}/split`: all weights of the route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitRequest {
    /// Weights per release, relative, 0 to 1,000,000; at least one is not 0.
    #[schema(schema_with = crate::model::weights_schema)]
    pub weights: Weights,
    /// Whether a release that has a weight now may be left out; without it that is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// `PATCH /v1/routes/{route}/split`: what some releases get, in percent of the route or as weights. One of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SplitPatchRequest {
    /// Percents of the route, 0 to 100; the other releases share the rest in the proportion that they have. A release that
    /// is not in the split joins it.
    #[serde(skip_serializing_if = "Percents::is_empty")]
    #[schema(schema_with = crate::model::percents_schema)]
    pub percent: Percents,
    /// Weights per release, 0 to 1,000,000; the others keep theirs. The split that they lead to must have one that is not 0.
    #[serde(skip_serializing_if = "Weights::is_empty")]
    #[schema(schema_with = crate::model::some_weights_schema)]
    pub weights: Weights,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// `POST /v1/routes/{route}/switch`: one release gets everything, the others stay in the split at 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchRequest {
    /// The release.
    pub to: ReleaseName,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// `POST /v1/routes/{route}/promote`: the canary gets everything. The body may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromoteRequest {
    /// The release to promote; needed only where more than one could be meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<ReleaseName>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// A body that holds nothing but a reason, for an abort and for the rollback of one route. It may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MessageRequest {
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// `POST /v1/rollback`: without a body, or with an empty one, back to what was live before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RollbackRequest {
    /// The revision whose content is to be live again. Not together with `step`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Revision>,
    /// Undo one revision only, even where it is part of a group that a bare rollback would undo whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub step: bool,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// `PUT /v1/routes/{route}`: a [`RouteSpec`] without its name, which stands in the path. A body that names the route as
/// the path does is taken as well, so that what `GET` answered can be sent back.
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
        assert_eq!(schema["required"], serde_json::json!(["split"]));
        assert_eq!(schema["additionalProperties"], false);
    }
}
