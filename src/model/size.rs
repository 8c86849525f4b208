//! A number of bytes as written in configuration: `65536` or `"64KiB"`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Units, largest first, so that the largest one that divides a size is found first.
const UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub usize);

impl Size {
    /// A size of whole KiB.
    pub const fn kib(count: usize) -> Self {
        Self(count << 10)
    }

    /// A size of whole MiB.
    pub const fn mib(count: usize) -> Self {
        Self(count << 20)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a size: write bytes as a number, or a string such as `\"64KiB\"` or `\"1MiB\"`"
            )
        };
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = (&text[..end], text[end..].trim());
        let factor = UNITS
            .iter()
            .find(|(name, _)| *name == unit || unit.is_empty() && *name == "B")
            .ok_or_else(wrong)?
            .1;
        let bytes = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(factor))
            .ok_or_else(wrong)?;
        usize::try_from(bytes).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as u64;
        let fits = |unit: &&(&str, u64)| bytes >= unit.1 && bytes.is_multiple_of(unit.1);
        let (name, factor) = UNITS.iter().find(fits).unwrap_or(&("B", 1));
        write!(f, "{}{name}", bytes / factor)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl de::Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes, or a string such as `\"64KiB\"`")
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
        usize::try_from(bytes)
            .map(Size)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
    }

    /// From JSON, whose schema has strings alone.
    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
        let text = format!("a size in JSON is a string with its unit: write `\"{bytes}B\"`");
        Err(E::custom(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, bytes) in [
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("100B", 100),
            ("0B", 0),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, text));
        }
        assert_eq!("65536".parse::<Size>().unwrap(), Size::kib(64));
    }

    #[test]
    fn a_number_is_one_in_a_file_and_in_json_it_says_what_to_write() {
        #[derive(Debug, Deserialize)]
        struct Limits {
            most: Size,
        }
        let limits: Limits = toml::from_str("most = 10").unwrap();
        assert_eq!(limits.most, Size(10));
        let error = serde_json::from_str::<Limits>(r#"{ "most": 10 }"#).unwrap_err();
        assert!(error.to_string().contains("write `\"10B\"`"), "{error}");
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for bad in ["", "KiB", "64kb", "-1", "1.5MiB", "99999999999999999999GiB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
}
