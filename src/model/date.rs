//! A calendar date, such as the day after which a flag is stale.

use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use thiserror::Error;

use super::text_serde::serde_as_text;

/// A day of the Gregorian calendar from 1970 to 9999, written `2027-01-31`: its begin, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(SystemTime);

/// Invalid date.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a date: write it as `2027-01-31`")]
pub struct DateError(String);

impl Date {
    /// Milliseconds since 1970 at which the day has ended, UTC.
    pub fn end_ms(self) -> u64 {
        /// Seconds of a day.
        const DAY: u64 = 86_400;
        let begin = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        (begin.as_secs() + DAY) * 1_000
    }
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let begin = humantime::parse_rfc3339(&format!("{text}T00:00:00Z"));
        begin
            .map(Self)
            .map_err(|_| DateError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begin = humantime::format_rfc3339_seconds(self.0).to_string();
        f.write_str(begin.trim_end_matches("T00:00:00Z"))
    }
}

serde_as_text!(Date);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_ends_with_its_day() {
        let ends = |text: &str| text.parse::<Date>().unwrap().end_ms();
        assert_eq!(ends("1970-01-01"), 86_400_000);
        assert_eq!(ends("2000-02-29"), 951_868_800_000);
        assert_eq!(ends("2026-11-29"), 1_795_996_800_000);
        let date: Date = "2027-01-31".parse().unwrap();
        assert_eq!(date.to_string(), "2027-01-31");
    }

    #[test]
    fn what_is_no_day_is_no_date() {
        for wrong in [
            "2027-02-29",
            "1900-01-01",
            "2027-1-31",
            "2027-13-01",
            "2027-00-10",
            "tomorrow",
            "2027-01-3é",
            "2027-01-31T00:00:00Z",
            "",
        ] {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
    }
}
