//! Spec of the rate limit of a route: how often requests with the same key may come.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{AffinitySource, schema::keywords, text_serde::serde_as_text};

/// Rate limit of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitSpec {
    /// Requests of one key in a time, such as `10/s`.
    pub rate: Rate,
    /// Requests that one key may have at once; by default those of a second, and at least 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub burst: Option<u32>,
    /// Sources of the key, in order, as those of `affinity`; the client's address by default. Requests without a key have
    /// one bucket together.
    #[serde(default = "client_address")]
    #[schema(min_items = 1, max_items = 16)]
    pub key: Vec<AffinitySource>,
    /// Keys that are remembered, 8 bytes each.
    #[serde(default = "max_keys")]
    #[schema(minimum = 1024, maximum = 1_048_576)]
    pub max_keys: u32,
}

fn client_address() -> Vec<AffinitySource> {
    vec![AffinitySource::ClientAddress]
}

const fn max_keys() -> u32 {
    16 * 1024
}

impl RateLimitSpec {
    /// Requests that one key may have at once.
    pub fn effective_burst(&self) -> u32 {
        let of_a_second = || {
            let seconds = self.rate.per.length().as_secs().max(1);
            let count = u64::from(self.rate.count).div_ceil(seconds).max(5);
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        self.burst.unwrap_or_else(of_a_second)
    }
}

/// A number of requests in a time, written `10/s` or `600/min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number, at least 1.
    pub count: u32,
    /// The time.
    pub per: Period,
}

/// A unit of time in which requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// `s`
    Second,
    /// `min`
    Minute,
    /// `h`
    Hour,
    /// `day`
    Day,
}

/// Largest number of requests in a time.
const MOST: u32 = 1_000_000;

impl Period {
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    /// Its length.
    pub const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        })
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
            Self::Day => "day",
        }
    }
}

impl Rate {
    /// A number of requests a minute.
    pub const fn per_minute(count: u32) -> Self {
        Self {
            count,
            per: Period::Minute,
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a rate: write 1 to {MOST} requests with a unit of time, `s`, `min`, `h` or `day`, such as `10/s`"
            )
        };
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let (count, unit) = (count.trim(), unit.trim());
        let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
        let count = count.parse().ok().filter(|_| is_number);
        let count = count.filter(|count| (1..=MOST).contains(count));
        let per = Period::ALL.into_iter().find(|per| per.as_str() == unit);
        Ok(Self {
            count: count.ok_or_else(wrong)?,
            per: per.ok_or_else(wrong)?,
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.as_str())
    }
}

serde_as_text!(Rate);

impl PartialSchema for Rate {
    fn schema() -> RefOr<Schema> {
        keywords(json!({
            "type": "string",
            "description": "A number of requests in a second, a minute, an hour or a day.",
            "pattern": "^([1-9][0-9]{0,5}|1000000)/(s|min|h|day)$",
            "examples": ["10/s"],
        }))
        .into()
    }
}

impl ToSchema for Rate {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Rate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        for text in ["10/s", "600/min", "1/h", "1000000/day"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!(" 5 / s".parse::<Rate>().unwrap().to_string(), "5/s");
        for bad in [
            "",
            "10",
            "0/s",
            "-1/s",
            "+1/s",
            "1.5/s",
            "10/m",
            "1000001/s",
            "10/",
        ] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rate_is_enough() {
        let spec = |text: &str| serde_json::from_str::<RateLimitSpec>(text).unwrap();
        let spec_of = |rate| spec(&format!(r#"{{"rate":"{rate}"}}"#));
        assert_eq!(spec_of("10/s").key, [AffinitySource::ClientAddress]);
        for (rate, burst) in [("10/s", 10), ("1/s", 5), ("1200/min", 20), ("1/day", 5)] {
            assert_eq!(spec_of(rate).effective_burst(), burst, "{rate}");
        }
        let given = spec(r#"{"rate":"10/s","burst":1}"#);
        assert_eq!(given.effective_burst(), 1);
    }
}
