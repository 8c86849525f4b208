//! Feature flags, as the admin API lists and evaluates them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{Date, FlagName, FlagReason, FlagSpec, FlagValue, Revision, VariantName};

/// Body of `GET /v1/flags`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlagList {
    /// The live revision.
    pub revision: Revision,
    /// The flags of the table by name.
    #[schema(value_type = BTreeMap<String, FlagSpec>)]
    pub flags: BTreeMap<FlagName, FlagSpec>,
}

/// Body of `GET /v1/flags/{flag}/evaluate`: what an application with this context gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlagEvaluation {
    /// The flag.
    pub flag: FlagName,
    /// The revision that it was evaluated by.
    pub revision: Revision,
    /// The variant.
    pub variant: VariantName,
    /// Its value.
    pub value: FlagValue,
    /// Reason in the words of `OpenFeature`.
    pub reason: FlagReason,
    /// Index of the rule that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// The prerequisite that gave another variant than the flag asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmet_prerequisite: Option<FlagName>,
}

/// A flag after the last day on which it was expected to exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StaleFlag {
    /// The flag.
    pub flag: FlagName,
    /// That day.
    pub expired: Date,
    /// Person or team that answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}
