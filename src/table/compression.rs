//! The compiled compression of a route: which answers suit.

use crate::{
    message::{Field, KnownField, forbids_transform, has_whole_content, is_digest},
    model::{CompressSpec, RouteName},
};

/// Compression of the answers of a route.
#[derive(Debug)]
pub struct Compression {
    route: RouteName,
    types: Box<[MediaRange]>,
    min_size: u64,
    level: u8,
}

/// Media types that are compressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MediaRange {
    /// Exactly this one.
    One(Box<str>),
    /// All that begin so: `text/`.
    Below(Box<str>),
    /// All that begin and end so: `application/` and `+json`.
    Suffix(Box<str>, Box<str>),
}

/// Media types that are never compressed: a stream of events has to be readable by all that is between the agent and its
/// page, and gRPC has a compression of its own.
const NEVER: [&str; 2] = ["text/event-stream", "application/grpc"];

impl Compression {
    /// The compression that a route asks for.
    pub fn new(route: &RouteName, spec: &CompressSpec) -> Self {
        let ranges = spec.types.iter().filter_map(|text| MediaRange::parse(text));
        Self {
            route: route.clone(),
            types: ranges.collect(),
            min_size: spec.min_size.0 as u64,
            level: spec.level,
        }
    }

    /// The route.
    pub fn route(&self) -> &RouteName {
        &self.route
    }

    /// Effort, from 1 to 9.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// True if an answer may be compressed, by its status, its length if that is known, and its fields.
    pub fn suits<'h>(
        &self,
        status: u16,
        length: Option<u64>,
        fields: impl Iterator<Item = Field<'h>>,
    ) -> bool {
        if !has_whole_content(status) || length.is_some_and(|length| length < self.min_size.max(1))
        {
            return false;
        }
        let mut is_of_type = None;
        for field in fields {
            match field.known {
                KnownField::ContentType if is_of_type.is_some() => return false,
                KnownField::ContentType => is_of_type = Some(self.lists(field.value)),
                KnownField::ContentEncoding | KnownField::ContentRange => return false,
                KnownField::CacheControl if forbids_transform(field.value) => return false,
                KnownField::Other if is_digest(&field) => return false,
                _ => {}
            }
        }
        is_of_type == Some(true)
    }

    /// True if answers of a content type are compressed.
    fn lists(&self, content_type: &[u8]) -> bool {
        let end = content_type.iter().position(|byte| *byte == b';');
        let media = content_type[..end.unwrap_or(content_type.len())].trim_ascii();
        !is_never(media) && self.types.iter().any(|range| range.contains(media))
    }
}

/// True for a media type that is never compressed.
pub(super) fn is_never(media: &[u8]) -> bool {
    let starts = |name: &str| {
        let start = media.get(..name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
    };
    NEVER.iter().any(|name| starts(name))
}

impl MediaRange {
    /// Reads `type/subtype`, `type/*` or `type/*+suffix`, in lower case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_part = |part: &str| {
            let is_char =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$&^_.+-".contains(&b);
            (1..=64).contains(&part.len()) && part.bytes().all(is_char)
        };
        let (kind, subtype) = text.split_once('/')?;
        let below = || format!("{kind}/").into_boxed_str();
        match subtype.strip_prefix('*') {
            _ if !is_part(kind) => None,
            Some("") => Some(Self::Below(below())),
            Some(suffix) if suffix.starts_with('+') && is_part(&suffix[1..]) => {
                Some(Self::Suffix(below(), suffix.into()))
            }
            None if is_part(subtype) => Some(Self::One(text.into())),
            _ => None,
        }
    }

    fn contains(&self, media: &[u8]) -> bool {
        let starts = |text: &str| {
            let start = media.get(..text.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
        };
        let ends = |text: &str| {
            let at = media.len().checked_sub(text.len());
            at.is_some_and(|at| media[at..].eq_ignore_ascii_case(text.as_bytes()))
        };
        match self {
            Self::One(own) => media.eq_ignore_ascii_case(own.as_bytes()),
            Self::Below(start) => starts(start),
            Self::Suffix(start, end) => {
                media.len() > start.len() + end.len() && starts(start) && ends(end)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn suits(status: u16, length: Option<u64>, lines: &[(&str, &str)]) -> bool {
        let rules = Compression::new(&"all".parse().unwrap(), &CompressSpec::default());
        let fields = lines.iter();
        let fields = fields.map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes()));
        rules.suits(status, length, fields)
    }

    #[test]
    fn an_answer_of_a_listed_type_suits() {
        for media in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/problem+json",
            "application/x-ndjson",
            "text/html;charset=utf-8",
            "TEXT/plain",
            "image/svg+xml",
        ] {
            assert!(
                suits(200, Some(1_024), &[("Content-Type", media)]),
                "{media}"
            );
            assert!(suits(503, None, &[("content-type", media)]), "{media}");
        }
        for media in [
            "",
            "text",
            "text/event-stream",
            "Text/Event-Stream; charset=utf-8",
            "application/grpc",
            "application/grpc-web+json",
            "application/+json",
            "application/jsonx",
            "image/png",
            "application/zip",
            "multipart/x-mixed-replace",
        ] {
            assert!(!suits(200, None, &[("content-type", media)]), "{media}");
        }
        assert!(!suits(200, None, &[]), "it says nothing of its type");
    }

    #[test]
    fn what_is_short_a_part_coded_or_to_stay_as_it_is_does_not() {
        let json = ("content-type", "application/json");
        assert!(!suits(200, Some(1_023), &[json]));
        assert!(!suits(200, Some(0), &[json]));
        for status in [101, 204, 205, 206, 304] {
            assert!(!suits(status, None, &[json]), "{status}");
        }
        for line in [
            ("content-encoding", "gzip"),
            ("content-encoding", "identity"),
            ("content-range", "bytes 0-1/2"),
            ("cache-control", "public, no-transform"),
            ("content-type", "application/json"),
            ("content-digest", "sha-256=:AA==:"),
            ("Digest", "sha-256=AA=="),
            ("signature", "sig=:AA==:"),
        ] {
            assert!(!suits(200, None, &[json, line]), "{line:?}");
            assert!(!suits(200, None, &[line, json]), "{line:?}");
        }
        let others = [
            ("etag", "\"a\""),
            ("cache-control", "max-age=1"),
            ("vary", "*"),
        ];
        assert!(
            others
                .into_iter()
                .all(|line| suits(200, None, &[json, line]))
        );
    }

    #[test]
    fn ranges_are_read_as_they_are_meant() {
        for text in [
            "",
            "text",
            "*/*",
            "text/",
            "/json",
            "text/*json",
            "a/*+",
            "A/b",
            "a/b;c",
            "a/b/c",
        ] {
            assert_eq!(MediaRange::parse(text), None, "{text}");
        }
        let suffix = MediaRange::parse("application/*+json").unwrap();
        assert!(suffix.contains(b"application/a+JSON") && !suffix.contains(b"application/+json"));
        assert!(!suffix.contains(b"text/a+json") && !suffix.contains(b"application/json"));
        let below = MediaRange::parse("text/*").unwrap();
        assert!(below.contains(b"text/x") && !below.contains(b"textual/x"));
    }

    proptest! {
        #[test]
        fn no_head_makes_a_stream_of_events_or_a_part_suit(
            status in any::<u16>(),
            length in any::<Option<u64>>(),
            value in "[ -~]{0,40}",
        ) {
            let lines = [("content-type", "text/event-stream"), ("x", value.as_str())];
            prop_assert!(!suits(status, length, &lines));
            prop_assert!(!suits(206, length, &[("content-type", "text/plain"), ("cache-control", &value)]));
            let media = value.trim().to_ascii_lowercase();
            if suits(status, length, &[("content-type", &value)]) {
                prop_assert!(!media.starts_with("text/event-stream") && !media.starts_with("application/grpc"));
                prop_assert!(length.is_none_or(|length| length >= 1_024));
            }
        }
    }
}
