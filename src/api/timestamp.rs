//! A point in time in the API: RFC 3339, UTC, with microseconds.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A point in time: microseconds since 1970, UTC; in JSON `2026-11-20T13:50:00.000000Z`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Converts a system time; one before 1970 counts as 1970.
    pub fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// Converts milliseconds since 1970.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Whole milliseconds since 1970.
    pub const fn millis(self) -> u64 {
        self.0 / 1000
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The year 9999 is the last that RFC 3339 can represent.
        const LAST: u64 = 253_402_300_799_999_999;
        let time = UNIX_EPOCH + Duration::from_micros(self.0.min(LAST));
        humantime::format_rfc3339_micros(time).fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text)
            .map(Self::of)
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_it_is_written() {
        let moment = Timestamp(1_795_182_600_123_456);
        let json = serde_json::to_string(&moment).unwrap();
        assert_eq!(json, r#""2026-11-20T13:50:00.123456Z""#);
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), moment);
        assert!(Timestamp(u64::MAX).to_string().starts_with("9999-"));
    }
}
