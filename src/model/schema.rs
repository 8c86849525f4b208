//! JSON schemas of the model's text types: names, versions, endpoints, durations and digests,
//! as exact as their parsers.
//!
//! A generator of requests from the `OpenAPI` document should produce only well-formed ones, and an error
//! should be caught before the request is sent. What a schema cannot express (a release that does not
//! exist) is left to the compiler.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        extensions::Extensions,
        schema::{ObjectBuilder, SchemaType},
    },
};

use super::{
    Date, Digest, EndpointUrl, FlagName, HookName, HumanDuration, MAX_WEIGHT, MetricName, PlanName,
    PublicUrl, ReleaseName, RouteName, SessionPolicy, VariantName, Version, WorkPolicy,
};

/// Pattern of a name.
const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$";

/// Pattern of an endpoint: a name or an IPv4 address, or an IPv6 address with its one gap at any position.
const ENDPOINT: &str = concat!(
    "^https?://([A-Za-z0-9_][A-Za-z0-9._-]{0,252}|\\[(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}",
    "|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}",
    "|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){3}",
    "|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){5}",
    "|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))\\])",
    "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$"
);

/// Pattern of a public URL: that of an endpoint, and a path.
const PUBLIC: &str = concat!(
    "^https?://([A-Za-z0-9_][A-Za-z0-9._-]{0,252}|\\[(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}",
    "|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}",
    "|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){3}",
    "|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){5}",
    "|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))\\])",
    "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[!$-.0-;=@-Z\\[\\]^-~]+)*/?$"
);

/// Pattern of a duration, as it is also written, between two other patterns.
macro_rules! span {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "[0-9]{1,9}(ns|us|ms|s|m|h|day|days|month|months|year|years)",
            "( [0-9]{1,9}(ns|us|ms|s|m|h|day|days|month|months|year|years))*",
            $after
        )
    };
}

/// Schema from its keywords; some that are needed here (`not`, `propertyNames`) have no field in the builder.
pub(super) fn keywords(keywords: Value) -> Schema {
    let Value::Object(keywords) = keywords else {
        return Schema::default();
    };
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .extensions(Some(keywords.into_iter().collect::<Extensions>()))
        .build()
        .into()
}

/// Weights per release: at least one is not 0, or no release could serve.
pub fn weights() -> Schema {
    weights_of("release", &json!({ "blue": 95, "green": 5 }))
}

/// Weights per variant of a flag: at least one is not 0.
pub(super) fn variant_weights() -> Schema {
    weights_of("variant", &json!({ "on": 5, "off": 95 }))
}

fn weights_of(what: &str, example: &Value) -> Schema {
    keywords(json!({
        "type": "object",
        "description": format!("Weights per {what}, relative; at least one is not 0."),
        "propertyNames": { "pattern": NAME },
        "additionalProperties": { "type": "integer", "minimum": 0, "maximum": MAX_WEIGHT },
        "not": { "additionalProperties": { "const": 0 } },
        "examples": [example],
    }))
}

/// Status of a redirect.
pub(super) fn redirect_status() -> Schema {
    keywords(json!({
        "type": "integer",
        "description": "Status; 307 by default, which clients do not keep.",
        "enum": [301, 302, 307, 308],
        "default": 307,
    }))
}

/// Weights that override some of those of a route.
pub fn some_weights() -> Schema {
    keywords(json!({
        "type": "object",
        "description": "The weights that change; the others stay.",
        "propertyNames": { "pattern": NAME },
        "additionalProperties": { "type": "integer", "minimum": 0, "maximum": MAX_WEIGHT },
        "minProperties": 1,
        "examples": [{ "green": 5 }],
    }))
}

/// Percents of some releases of a route.
pub fn percents() -> Schema {
    keywords(json!({
        "type": "object",
        "description": "Percents, with up to four decimals; the others share the rest as before.",
        "propertyNames": { "pattern": NAME },
        "additionalProperties": { "type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.0001 },
        "minProperties": 1,
        "examples": [{ "green": 5 }],
    }))
}

macro_rules! text {
    ($type:ty, $name:literal, $keywords:tt) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                keywords(json!($keywords)).into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    };
}

text!(ReleaseName, "ReleaseName", {
    "type": "string",
    "description": "The name of a release.",
    "pattern": NAME,
    "examples": ["blue"],
});
text!(RouteName, "RouteName", {
    "type": "string",
    "description": "The name of a route.",
    "pattern": NAME,
    "examples": ["chat"],
});
text!(FlagName, "FlagName", {
    "type": "string",
    "description": "The name of a feature flag.",
    "pattern": NAME,
    "examples": ["new-planner"],
});
text!(VariantName, "VariantName", {
    "type": "string",
    "description": "The name of a variant of a flag.",
    "pattern": NAME,
    "examples": ["on"],
});
text!(Date, "Date", {
    "type": "string",
    "description": "A day, from 1970 on.",
    "format": "date",
    "pattern": "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
    "examples": ["2027-01-31"],
});
text!(HookName, "HookName", {
    "type": "string",
    "description": "The name of a hook.",
    "pattern": NAME,
    "examples": ["checks"],
});
text!(MetricName, "MetricName", {
    "type": "string",
    "description": "The name of a query's value.",
    "pattern": NAME,
    "examples": ["tokens"],
});
text!(PlanName, "PlanName", {
    "type": "string",
    "description": "The name of a plan for rollouts.",
    "pattern": NAME,
    "examples": ["careful"],
});
text!(Version, "Version", {
    "type": "string",
    "description": "The version label of a release; empty when it has none.",
    "pattern": "^[!-~]{0,63}$",
    "examples": ["1.0.0"],
});
text!(EndpointUrl, "EndpointUrl", {
    "type": "string",
    "description": "Address that requests are sent to: `scheme://host:port`.",
    "pattern": ENDPOINT,
    "examples": ["http://10.0.0.11:9000"],
});
text!(PublicUrl, "PublicUrl", {
    "type": "string",
    "description": "URL at which clients reach the proxy: `scheme://host[:port][/path]`.",
    "pattern": PUBLIC,
    "maxLength": 1000,
    "examples": ["https://agents.example.com"],
});
text!(HumanDuration, "Span", {
    "type": "string",
    "description": "A duration: a number with a unit, such as `2s` or `500ms`.",
    "pattern": (span!("^", "$")),
    "examples": ["2s"],
});
text!(WorkPolicy, "WorkPolicy", {
    "type": "string",
    "description": "What becomes of work in flight: `finish`, `finish within 15m`, `cut` or `cut over 30s`.",
    "pattern": (span!("^(finish|cut|(finish within|cut over) ", ")$")),
    "examples": ["finish within 15m"],
});
text!(SessionPolicy, "SessionPolicy", {
    "type": "string",
    "description": "What becomes of sessions with a pin: `keep` (or `finish`), `keep for 15m` or `move`.",
    "pattern": (span!("^(keep|move|finish|keep for ", ")$")),
    "examples": ["keep for 15m"],
});
text!(Digest, "Digest", {
    "type": "string",
    "description": "A digest of a table's decisions: equal exactly when the decisions are.",
    "pattern": "^[0-9a-f]{64}$",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_without_a_field_in_the_builder_is_written_all_the_same() {
        let schema = serde_json::to_value(weights()).unwrap();
        assert_eq!(schema["not"]["additionalProperties"]["const"], 0);
        assert_eq!(schema["type"], "object");
        let name = serde_json::to_value(ReleaseName::schema()).unwrap();
        assert_eq!(name["pattern"], NAME);
    }
}
