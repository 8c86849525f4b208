//! Paths into JSON documents: JSON pointers (RFC 6901) in which a star stands for any key or index of one level.

use std::{fmt, str::FromStr};

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{schema::keywords, serde_as_text};

/// Longest path as text.
const LONGEST: usize = 256;

/// A JSON pointer; a segment that is `*` stands for any key or index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    segments: Vec<JsonSegment>,
}

/// One level of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum JsonSegment {
    Any,
    Key(String),
}

impl JsonPath {
    /// True if this is the path of a value below these keys and indices.
    pub fn matches(&self, keys: &[impl AsRef<str>]) -> bool {
        let is_level = |(segment, key): (&JsonSegment, _)| match segment {
            JsonSegment::Any => true,
            JsonSegment::Key(own) => own == AsRef::<str>::as_ref(key),
        };
        self.segments.len() == keys.len() && self.segments.iter().zip(keys).all(is_level)
    }
}

impl FromStr for JsonPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('/');
        let rest = rest.ok_or_else(|| {
            format!("`{text}` is no JSON pointer: begin with `/`, as in `/usage/total`")
        })?;
        if text.len() > LONGEST {
            return Err(format!("a JSON pointer has at most {LONGEST} bytes"));
        }
        let segments: Option<Vec<_>> = rest.split('/').map(segment).collect();
        let segments = segments.ok_or_else(|| {
            format!("`{text}` is no JSON pointer: write `~0` for `~` and `~1` for `/` in a key")
        })?;
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }
}

/// A level from its text; `None` if a `~` in it stands for nothing.
fn segment(text: &str) -> Option<JsonSegment> {
    if text == "*" {
        return Some(JsonSegment::Any);
    }
    let mut parts = text.split('~');
    let mut key = parts.next()?.to_owned();
    for part in parts {
        let (escaped, rest) = part.split_at_checked(1)?;
        key.push(match escaped {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        key.push_str(rest);
    }
    Some(JsonSegment::Key(key))
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialSchema for JsonPath {
    fn schema() -> RefOr<Schema> {
        keywords(serde_json::json!({
            "type": "string",
            "description": "A JSON pointer; `*` stands for any key or index of one level.",
            "pattern": "^(/([^~/]|~[01])*)+$",
            "maxLength": LONGEST,
            "examples": ["/usage/*"],
        }))
        .into()
    }
}

impl ToSchema for JsonPath {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed("JsonPath")
    }
}

serde_as_text!(JsonPath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_level_and_escapes_for_their_characters() {
        for (path, keys, expected) in [
            ("/id", &["id"][..], true),
            ("/id", &["id", "x"], false),
            ("/usage/*", &["usage", "total"], true),
            ("/usage/*", &["usage"], false),
            ("/usage/*", &["usage", "a", "b"], false),
            ("/choices/*/id", &["choices", "0", "id"], true),
            ("/a~1b~0c", &["a/b~c"], true),
            ("/", &[""], true),
        ] {
            let parsed: JsonPath = path.parse().unwrap();
            assert_eq!(parsed.matches(keys), expected, "{path} {keys:?}");
            assert_eq!(parsed.to_string(), path);
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for wrong in ["", "id", "$.id", "/a~2", "/a~", &format!("/{:256}", "")] {
            assert!(wrong.parse::<JsonPath>().is_err(), "{wrong}");
        }
    }
}
