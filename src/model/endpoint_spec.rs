//! An endpoint as it is configured: its URL, and its weight if that is not 1.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, value::MapAccessDeserializer},
    ser::SerializeStruct,
};
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{EndpointUrl, schema};

/// Largest weight of an endpoint.
const MAX: u32 = 1_000;

/// Configured endpoint. Written as its URL, or as a table with a weight: `{ url = "http://10.0.0.11:9000", weight = 2 }`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EndpointSpec {
    url: EndpointUrl,
    weight: u32,
}

impl EndpointSpec {
    /// Weight of an endpoint that is written without one.
    pub const WEIGHT: u32 = 1;

    /// Creates an endpoint; `None` if the weight is above 1,000.
    pub fn new(url: EndpointUrl, weight: u32) -> Option<Self> {
        (weight <= MAX).then_some(Self { url, weight })
    }

    /// Its URL.
    pub fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// Its weight among the endpoints of its release; 0 takes no new work.
    pub fn weight(&self) -> u32 {
        self.weight
    }
}

impl From<EndpointUrl> for EndpointSpec {
    fn from(url: EndpointUrl) -> Self {
        Self {
            url,
            weight: Self::WEIGHT,
        }
    }
}

impl FromStr for EndpointSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<EndpointUrl>().map(Self::from)
    }
}

impl fmt::Display for EndpointSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.weight {
            Self::WEIGHT => self.url.fmt(f),
            weight => write!(f, "{} (weight {weight})", self.url),
        }
    }
}

impl Serialize for EndpointSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.weight == Self::WEIGHT {
            return self.url.serialize(serializer);
        }
        let mut table = serializer.serialize_struct("EndpointSpec", 2)?;
        table.serialize_field("url", &self.url)?;
        table.serialize_field("weight", &self.weight)?;
        table.end()
    }
}

/// Endpoint in the form of a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    url: EndpointUrl,
    #[serde(default = "weight")]
    weight: u32,
}

const fn weight() -> u32 {
    EndpointSpec::WEIGHT
}

impl<'de> Deserialize<'de> for EndpointSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = EndpointSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a URL, or a table with `url` and `weight`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<EndpointSpec, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EndpointSpec, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        let wrong = || {
            format!(
                "the weight of an endpoint is 0 to {MAX}, not {}",
                table.weight
            )
        };
        EndpointSpec::new(table.url, table.weight).ok_or_else(|| de::Error::custom(wrong()))
    }
}

impl PartialSchema for EndpointSpec {
    fn schema() -> RefOr<Schema> {
        schema::keywords(json!({
            "description": "An endpoint: its URL, or a table with the URL and a weight; 0 takes no new work.",
            "oneOf": [
                { "$ref": "#/components/schemas/EndpointUrl" },
                {
                    "type": "object",
                    "properties": {
                        "url": { "$ref": "#/components/schemas/EndpointUrl" },
                        "weight": { "type": "integer", "minimum": 0, "maximum": MAX },
                    },
                    "required": ["url"],
                    "additionalProperties": false,
                },
            ],
            "examples": ["http://10.0.0.11:9000"],
        }))
        .into()
    }
}

impl ToSchema for EndpointSpec {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("EndpointSpec")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((EndpointUrl::name().into_owned(), EndpointUrl::schema()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_of_one_is_not_written() {
        for text in [
            r#""http://a:1""#,
            r#"{"url":"http://a:1","weight":2}"#,
            r#"{"url":"http://a:1","weight":0}"#,
        ] {
            let spec: EndpointSpec = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&spec).unwrap(), text);
        }
        let plain: EndpointSpec = serde_json::from_str(r#"{"url":"http://a:1"}"#).unwrap();
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#""http://a:1""#);
    }

    #[test]
    fn a_table_with_other_keys_or_too_much_weight_is_refused() {
        for bad in [
            r#"{"url":"http://a:1","weight":1001}"#,
            r#"{"url":"http://a:1","weight":-1}"#,
            r#"{"url":"http://a:1","color":"blue"}"#,
            r#"{"weight":1}"#,
            "7",
        ] {
            assert!(serde_json::from_str::<EndpointSpec>(bad).is_err(), "{bad}");
        }
    }
}
