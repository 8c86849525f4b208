//! A condition of a flag's rule: one comparison of one attribute of the context.

use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use super::FlagValue;

/// A condition: an attribute, and exactly one comparison. An attribute that is a list fulfils it if one item does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlagCondition {
    /// Attribute of the context, such as `plan`; `release` is the release that serves the request.
    #[schema(min_length = 1, max_length = 128)]
    pub attribute: String,
    /// The value that it has: a text, a number or a boolean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub equals: Option<FlagValue>,
    /// Values, 1 to 1,000, of which it has one.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 1_000, nullable = false)]
    pub one_of: Option<Vec<FlagValue>>,
    /// Beginning of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub starts_with: Option<String>,
    /// End of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ends_with: Option<String>,
    /// Range of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub number: Option<NumberRange>,
    /// Range of a version in the order of Semantic Versioning 2.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub semver: Option<SemverRange>,
    /// `true`: the context has it; `false`: the context does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub present: Option<bool>,
}

/// A range of numbers; at least one bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NumberRange {
    /// Least number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, nullable = false)]
    pub at_least: Option<Number>,
    /// Number that it must exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, nullable = false)]
    pub above: Option<Number>,
    /// Largest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, nullable = false)]
    pub at_most: Option<Number>,
    /// Number that it must be less than.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, nullable = false)]
    pub below: Option<Number>,
}

/// A range of versions; at least one bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SemverRange {
    /// Earliest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub at_least: Option<String>,
    /// Version that it must be after.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub above: Option<String>,
    /// Latest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub at_most: Option<String>,
    /// Version that it must be before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub below: Option<String>,
}

impl FlagCondition {
    /// The comparisons that it names; a valid condition has one.
    pub fn comparisons(&self) -> Vec<&'static str> {
        let named = [
            ("equals", self.equals.is_some()),
            ("in", self.one_of.is_some()),
            ("starts_with", self.starts_with.is_some()),
            ("ends_with", self.ends_with.is_some()),
            ("number", self.number.is_some()),
            ("semver", self.semver.is_some()),
            ("present", self.present.is_some()),
        ];
        let named = named.into_iter().filter(|(_, is_named)| *is_named);
        named.map(|(name, _)| name).collect()
    }
}
