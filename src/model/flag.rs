//! A feature flag: named variants, and the rules that say who gets which of them.
//!
//! A flag is a decision like a split: it is in the table, in the history, and goes back with a rollback.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Date, FlagCondition, FlagName, FlagType, FlagValue, VariantName};

/// Weights per variant, relative to one another.
pub type VariantWeights = BTreeMap<VariantName, u32>;

/// Attribute of a context that names the release that serves the request.
pub const RELEASE_ATTRIBUTE: &str = "release";

/// Attribute of a context that is the key of a split: the user, the session or the tenant.
pub const TARGETING_KEY: &str = "targetingKey";

/// A feature flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlagSpec {
    /// Type of all its values.
    #[serde(rename = "type")]
    pub kind: FlagType,
    /// Values by name, 1 to 64.
    pub variants: BTreeMap<VariantName, FlagValue>,
    /// Variant where no rule matches, and while the flag is off.
    pub default: VariantName,
    /// `off`: everybody gets the default variant.
    #[serde(default)]
    pub state: FlagState,
    /// Rules, at most 100; the first that matches decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub rules: Vec<FlagRule>,
    /// Another flag that must give a certain variant; if it gives another one, this flag gives its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub prerequisite: Option<Prerequisite>,
    /// True to keep key figures by variant, of the requests of routes that hand the flag over. Such flags have at most 128
    /// variants together.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kpis: bool,
    /// Purpose, at most 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1_024, nullable = false)]
    pub description: Option<String>,
    /// Person or team that answers for the flag, at most 128 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128, nullable = false)]
    pub owner: Option<String>,
    /// Last day on which the flag is expected to exist; later it is stale, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expires: Option<Date>,
}

/// Switch of a flag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlagState {
    /// The rules decide.
    #[default]
    On,
    /// Everybody gets the default variant.
    Off,
}

/// Reason for a variant, in the words of `OpenFeature`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FlagReason {
    /// There is one value for every context.
    Static,
    /// No rule matched, or a prerequisite was not met.
    Default,
    /// A rule matched that has one variant.
    TargetingMatch,
    /// A rule matched, and the key decided among its variants.
    Split,
    /// The flag is off.
    Disabled,
}

/// A rule: the contexts that it matches, and their split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlagRule {
    /// Conditions, at most 20; all must hold. Without one, the rule matches every context.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub when: Vec<FlagCondition>,
    /// Weights of variants, relative; the context's `targetingKey` is the key of the split.
    #[schema(schema_with = super::schema::variant_weights)]
    pub split: VariantWeights,
}

/// A condition on another flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Prerequisite {
    /// The other flag.
    pub flag: FlagName,
    /// The variant that it must give.
    pub variant: VariantName,
}

// === impl FlagSpec ===

impl FlagSpec {
    /// True once the last day on which it was expected to exist is over, UTC.
    pub fn is_stale(&self, now_ms: u64) -> bool {
        self.expires.is_some_and(|last| last.end_ms() <= now_ms)
    }
}

// === impl FlagReason ===

impl FlagReason {
    /// The word of `OpenFeature`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::Default => "DEFAULT",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Disabled => "DISABLED",
        }
    }
}

// === impl FlagState ===

impl FlagState {
    /// Name in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_stale_after_its_last_day() {
        let text =
            r#"{"type":"boolean","variants":{"on":true},"default":"on","expires":"1970-01-02"}"#;
        let flag: FlagSpec = serde_json::from_str(text).unwrap();
        assert!(!flag.is_stale(2 * 86_400_000 - 1) && flag.is_stale(2 * 86_400_000));
        let text = r#"{"type":"boolean","variants":{"on":true},"default":"on"}"#;
        let forever: FlagSpec = serde_json::from_str(text).unwrap();
        assert!(!forever.is_stale(u64::MAX));
    }
}
