//! The plan of a rollout in a request: the plan itself, or the name of one.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{OneOfBuilder, RefOr, Schema},
};

use crate::model::{PlanName, PlanSpec};

/// A plan, or the name of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PlanChoice {
    /// The name of a plan in the configuration file.
    Named(PlanName),
    /// A plan.
    Given(Box<PlanSpec>),
}

impl<'de> Deserialize<'de> for PlanChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choice;
        impl<'de> Visitor<'de> for Choice {
            type Value = PlanChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a plan or the name of one")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PlanChoice, E> {
                text.parse().map(PlanChoice::Named).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PlanChoice, A::Error> {
                let plan = PlanSpec::deserialize(MapAccessDeserializer::new(map));
                let plan = plan.map_err(A::Error::custom)?;
                Ok(PlanChoice::Given(Box::new(plan)))
            }
        }
        deserializer.deserialize_any(Choice)
    }
}

impl PartialSchema for PlanChoice {
    fn schema() -> RefOr<Schema> {
        let either = OneOfBuilder::new()
            .item(PlanName::schema())
            .item(PlanSpec::schema());
        RefOr::T(Schema::OneOf(either.build()))
    }
}

impl ToSchema for PlanChoice {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("PlanChoice")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        PlanSpec::schemas(schemas);
    }
}
