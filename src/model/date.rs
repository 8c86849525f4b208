//! A calendar date, such as the day after which a flag is stale.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

/// A day of the Gregorian calendar from 1970 to 9999, written `2027-01-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// Invalid date.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a date: write it as `2027-01-31`")]
pub struct DateError(String);

impl Date {
    /// Milliseconds since 1970 at which the day has ended, UTC.
    pub fn end_ms(self) -> u64 {
        /// Milliseconds of a day.
        const DAY: u64 = 86_400_000;
        let years = 1970..self.year;
        let of_years: u64 = years
            .map(|year| if is_leap(year) { 366 } else { 365 })
            .sum();
        let months = 1..self.month;
        let of_months: u64 = months
            .map(|month| u64::from(days_of(self.year, month)))
            .sum();
        (of_years + of_months + u64::from(self.day)) * DAY
    }
}

const fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

fn parsed(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 10
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !shaped {
        return None;
    }
    let date = Date {
        year: text[..4].parse().ok()?,
        month: text[5..7].parse().ok()?,
        day: text[8..].parse().ok()?,
    };
    let fits = date.year >= 1970
        && (1..=12).contains(&date.month)
        && (1..=days_of(date.year, date.month)).contains(&date.day);
    fits.then_some(date)
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        parsed(text).ok_or_else(|| DateError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

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
        ] {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
    }
}
