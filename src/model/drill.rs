//! Drills: their levels, and the synthetic requests of a route.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HumanDuration, StatusRange};

/// Largest number of synthetic requests of a route.
pub const MOST_DRILL_REQUESTS: usize = 16;

/// Level of a drill: the part of the way back that is rehearsed.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DrillLevel {
    /// A revision with the content of the live one is published and rolled back. No client sees anything.
    #[default]
    Mechanism,
    /// The synthetic requests of the route go to the predecessor, as overrides.
    Smoke,
    /// A share of the sessions is served by the predecessor for a time, and judged.
    Live,
    /// The predecessor gets all requests for a time, with synthetic ones beside them, and then gives them back.
    Full,
}

/// Synthetic request of a route, for drills.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrillRequestSpec {
    /// Method.
    #[serde(default = "get", skip_serializing_if = "is_get")]
    #[schema(pattern = "^[A-Z]{1,16}$")]
    pub method: String,
    /// Path and query, such as `/chat?probe=1`; the route has to match it.
    #[schema(pattern = r#"^/[!"$-~]{0,2000}$"#)]
    pub path: String,
    /// Header fields; names are lower case. A route that matches header fields needs them here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Body; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 16_384)]
    pub body: Option<String>,
    /// Expected statuses: `"200-299"`, `"204"`.
    #[serde(default, skip_serializing_if = "StatusRange::is_default")]
    #[schema(value_type = String, pattern = "^[2-5][0-9]{2}(-[2-5][0-9]{2})?$")]
    pub status: StatusRange,
    /// Timeout for the whole response.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
}

fn get() -> String {
    "GET".to_owned()
}

fn is_get(method: &str) -> bool {
    method == "GET"
}

const fn timeout() -> HumanDuration {
    HumanDuration::seconds(10)
}

impl DrillLevel {
    /// All levels.
    pub const ALL: [Self; 4] = [Self::Mechanism, Self::Smoke, Self::Live, Self::Full];

    /// Name in JSON, in the configuration and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mechanism => "mechanism",
            Self::Smoke => "smoke",
            Self::Live => "live",
            Self::Full => "full",
        }
    }

    /// True if the split of the route changes for a time.
    pub const fn changes_split(self) -> bool {
        matches!(self, Self::Live | Self::Full)
    }

    /// True if the synthetic requests of the route are sent.
    pub const fn sends_requests(self) -> bool {
        matches!(self, Self::Smoke | Self::Full)
    }
}

impl fmt::Display for DrillLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DrillLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|level| level.as_str() == text);
        found.ok_or_else(|| {
            format!("`{text}` is not a level: use `mechanism`, `smoke`, `live` or `full`")
        })
    }
}
