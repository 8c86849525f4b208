//! Comparison of the JSON in the answers to mirrored requests and to their copies.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{JsonPath, Size};

/// Comparison of answers in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareJsonSpec {
    /// JSON pointers to what may differ; `*` stands for any key or index of one level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64)]
    pub ignore: Vec<JsonPath>,
    /// Longest body of an answer that is compared, at most 256 KiB.
    #[serde(default = "max_body")]
    #[schema(value_type = String, pattern = "^([0-9]{1,6}B|([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-6])KiB)$", example = "64KiB")]
    pub max_body: Size,
}

const fn max_body() -> Size {
    Size::kib(64)
}

/// Reason why two answers are not compared as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JsonSkip {
    /// One of them is compressed, or coded otherwise.
    Encoded,
    /// One of them is longer than may be.
    Long,
    /// One of them cannot be read as JSON, or only in two ways.
    Malformed,
    /// The bodies that are kept for comparison use up their memory.
    Memory,
    /// Their statuses are of different classes.
    Status,
    /// One of them is not JSON by its `Content-Type`, or has no body.
    Type,
}

impl JsonSkip {
    /// All reasons, in the order of [`JsonSkip::index`].
    pub const ALL: [Self; 6] = [
        Self::Encoded,
        Self::Long,
        Self::Malformed,
        Self::Memory,
        Self::Status,
        Self::Type,
    ];

    /// Index in [`JsonSkip::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name in JSON and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Encoded => "encoded",
            Self::Long => "long",
            Self::Malformed => "malformed",
            Self::Memory => "memory",
            Self::Status => "status",
            Self::Type => "type",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_reasons_is_that_of_their_indices() {
        for (place, reason) in JsonSkip::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
        }
    }

    #[test]
    fn an_empty_table_compares_everything() {
        let spec: CompareJsonSpec = serde_json::from_str("{}").unwrap();
        assert_eq!((spec.ignore.len(), spec.max_body), (0, Size::kib(64)));
        assert!(serde_json::from_str::<CompareJsonSpec>(r#"{"ignore":["id"]}"#).is_err());
    }
}
