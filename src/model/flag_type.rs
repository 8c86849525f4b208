//! The type of a flag's values.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Type of a flag's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlagType {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// A number. If one value is written with a point, all are sent with one.
    Number,
    /// An object (a table in TOML).
    Object,
}

impl FlagType {
    /// Name in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Number => "number",
            Self::Object => "object",
        }
    }
}
