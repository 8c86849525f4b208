//! Spec of the compression of a route's answers.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value::MapAccessDeserializer},
};
use serde_json::json;
use utoipa::openapi::Schema;

use super::{Size, schema::keywords};

/// Media types that are compressed by default: text, and what is written like text.
const COMPRESSED_TYPES: [&str; 11] = [
    "text/*",
    "application/json",
    "application/*+json",
    "application/ndjson",
    "application/x-ndjson",
    "application/jsonl",
    "application/javascript",
    "application/xml",
    "application/*+xml",
    "application/wasm",
    "image/svg+xml",
];

/// Compression of the answers of a route's endpoints, with gzip, for clients that take it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompressSpec {
    /// Media types of answers that are compressed: `application/json`, `text/*` or `application/*+json`.
    #[serde(default = "types")]
    pub types: Vec<String>,
    /// Shortest answer that is compressed, if it says how long it is.
    #[serde(default = "min_size")]
    pub min_size: Size,
    /// Effort, from 1 to 9.
    #[serde(default = "level")]
    pub level: u8,
}

fn types() -> Vec<String> {
    COMPRESSED_TYPES.map(str::to_owned).to_vec()
}

const fn min_size() -> Size {
    Size::kib(1)
}

const fn level() -> u8 {
    2
}

impl Default for CompressSpec {
    fn default() -> Self {
        Self {
            types: types(),
            min_size: min_size(),
            level: level(),
        }
    }
}

/// Reads `true`, `false` or the keys.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<CompressSpec>, D::Error> {
    deserializer.deserialize_any(Compress)
}

struct Compress;

impl<'de> de::Visitor<'de> for Compress {
    type Value = Option<CompressSpec>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true`, `false` or keys such as `{ min_size = \"1KiB\" }`")
    }

    fn visit_bool<E>(self, is_on: bool) -> Result<Self::Value, E> {
        Ok(is_on.then(CompressSpec::default))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        CompressSpec::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

/// Writes `true` if there is nothing to say beside the defaults.
#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn serialize<S: Serializer>(
    spec: &Option<CompressSpec>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match spec {
        Some(spec) if *spec != CompressSpec::default() => spec.serialize(serializer),
        spec => serializer.serialize_bool(spec.is_some()),
    }
}

/// Schema of the key.
pub(super) fn schema() -> Schema {
    let media = "^[a-z0-9!#$&^_.+-]{1,64}/(\\*|(\\*\\+)?[a-z0-9!#$&^_.+-]{1,64})$";
    keywords(json!({
        "description": "Compression of the answers of the route's endpoints, with gzip, for clients that take it: \
                        `true` for the defaults. None by default.",
        "oneOf": [
            { "type": "boolean" },
            {
                "type": "object",
                "properties": {
                    "types": {
                        "description": "Media types of answers that are compressed; by default text, JSON, XML and \
                                        the like.",
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 64,
                        "items": {
                            "type": "string",
                            "pattern": media,
                            "not": { "pattern": "^(text/event-stream|application/grpc.*)$" },
                        },
                    },
                    "min_size": {
                        "description": "Shortest answer that is compressed, if it says how long it is.",
                        "type": "string",
                        "pattern": "^([1-9][0-9]{0,8}B|[1-9][0-9]{0,5}KiB|[1-9][0-9]{0,2}MiB)$",
                        "default": "1KiB",
                    },
                    "level": {
                        "description": "Effort.",
                        "type": "integer",
                        "minimum": 1,
                        "maximum": 9,
                        "default": level(),
                    },
                },
                "additionalProperties": false,
            },
        ],
        "examples": [true],
    }))
}

#[cfg(test)]
mod tests {
    use super::super::{RouteSpec, Weights};
    use super::*;

    fn route(value: serde_json::Value) -> serde_json::Result<RouteSpec> {
        let plain = RouteSpec::plain("all".parse().unwrap(), Weights::new());
        let mut route = serde_json::to_value(plain).unwrap();
        route["compress"] = value;
        serde_json::from_value(route)
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let default = Some(CompressSpec::default());
        for (value, spec, written) in [
            (json!(true), &default, Some(json!(true))),
            (json!({}), &default, Some(json!(true))),
            (json!({ "level": 2 }), &default, Some(json!(true))),
            (json!(false), &None, None),
            (json!(null), &None, None),
        ] {
            let route = route(value).unwrap();
            assert_eq!(route.compress, *spec);
            let again = serde_json::to_value(&route).unwrap();
            assert_eq!(again.get("compress"), written.as_ref());
        }
        let spec = json!({ "types": ["a/b"], "min_size": "2KiB", "level": 9 });
        let again = serde_json::to_value(route(spec.clone()).unwrap()).unwrap();
        assert_eq!(again["compress"], spec);
    }

    #[test]
    fn what_it_is_not_is_an_error_that_says_what_it_could_be() {
        for (value, text) in [
            (json!("gzip"), "`true`, `false` or keys"),
            (
                json!({ "encodings": ["br"] }),
                "expected one of `types`, `min_size`, `level`",
            ),
            (json!({ "min_size": "1kb" }), "not a size"),
        ] {
            let error = route(value).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
