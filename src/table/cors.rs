//! The compiled rules for cross-origin requests of a route, and the fields that tell browsers of them.

use crate::model::CorsSpec;

/// Cross-origin rules of a route.
#[derive(Debug)]
pub struct Cors {
    origins: Box<[Origins]>,
    /// Any origin, and none of them has to be named.
    is_for_all: bool,
    has_credentials: bool,
    methods: Box<str>,
    headers: Box<str>,
    expose: Box<str>,
    max_age: Box<str>,
}

/// Origins that are allowed.
#[derive(Debug)]
enum Origins {
    /// Exactly this one.
    One(Box<str>),
    /// All names below one: the scheme with `://`, and the rest from its first dot on.
    Below(Box<str>, Box<str>),
}

/// A field of a response.
type Line<'c> = (&'static str, &'c [u8]);

impl Cors {
    pub(super) fn new(spec: &CorsSpec) -> Self {
        let origins = |text: &String| match text.split_once('*') {
            Some((scheme, rest)) => Origins::Below(scheme.into(), rest.into()),
            None => Origins::One(text.as_str().into()),
        };
        let list = |items: &[String]| items.join(", ").into_boxed_str();
        Self {
            origins: spec.origins.iter().map(origins).collect(),
            is_for_all: spec.origins.iter().any(|origin| origin == "*"),
            has_credentials: spec.credentials,
            methods: list(&spec.methods),
            headers: list(&spec.headers),
            expose: list(&spec.expose),
            max_age: spec.max_age.0.as_secs().to_string().into(),
        }
    }

    /// True if pages of an origin may read answers.
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.is_for_all || self.origins.iter().any(|origins| origins.contain(origin))
    }

    /// The fields of an answer to a request. `origin` is that of its page, if the page may read the answer.
    pub fn answer<'c>(&'c self, origin: Option<&'c [u8]>) -> impl Iterator<Item = Line<'c>> {
        let vary = (!self.is_for_all).then_some(("vary", &b"origin"[..]));
        let exposed = origin.and(line("access-control-expose-headers", &self.expose));
        [vary, exposed]
            .into_iter()
            .flatten()
            .chain(self.allowed(origin))
    }

    /// The fields of the answer to a preflight of a page that may read answers.
    pub fn preflight<'c>(&'c self, origin: &'c [u8]) -> impl Iterator<Item = Line<'c>> {
        let vary = "origin, access-control-request-method, access-control-request-headers";
        [
            line("vary", vary),
            line("access-control-allow-methods", &self.methods),
            line("access-control-allow-headers", &self.headers),
            line("access-control-max-age", &self.max_age),
        ]
        .into_iter()
        .flatten()
        .chain(self.allowed(Some(origin)))
    }

    /// The fields by which a page may read the answer.
    fn allowed<'c>(&'c self, origin: Option<&'c [u8]>) -> impl Iterator<Item = Line<'c>> {
        let named = origin.map(|origin| if self.is_for_all { b"*" } else { origin });
        let credentials = named.filter(|_| self.has_credentials);
        let named = named.map(|origin| ("access-control-allow-origin", origin));
        let credentials = credentials.map(|_| ("access-control-allow-credentials", &b"true"[..]));
        named.into_iter().chain(credentials)
    }
}

/// A field with a value, unless that is empty.
fn line<'c>(name: &'static str, value: &'c str) -> Option<Line<'c>> {
    (!value.is_empty()).then_some((name, value.as_bytes()))
}

impl Origins {
    fn contain(&self, origin: &[u8]) -> bool {
        match self {
            Self::One(own) => own.as_bytes() == origin,
            Self::Below(scheme, rest) => {
                let name = origin.strip_prefix(scheme.as_bytes());
                let name = name.and_then(|name| name.strip_suffix(rest.as_bytes()));
                let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.".contains(byte);
                name.is_some_and(|name| !name.is_empty() && name.iter().all(is_name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(spec: serde_json::Value) -> Cors {
        Cors::new(&serde_json::from_value(spec).unwrap())
    }

    fn text<'c>(lines: impl Iterator<Item = Line<'c>>) -> Vec<String> {
        let line = |(name, value): Line<'_>| format!("{name}: {}", String::from_utf8_lossy(value));
        lines.map(line).collect()
    }

    #[test]
    fn an_origin_is_that_of_the_list_to_the_letter_or_below_a_name() {
        let origins = [
            "https://app.example.com",
            "https://*.pages.example.com:8443",
        ];
        let cors = cors(serde_json::json!({ "origins": origins }));
        for (origin, is_allowed) in [
            ("https://app.example.com", true),
            ("https://pr-7.pages.example.com:8443", true),
            ("https://a.b.pages.example.com:8443", true),
            ("http://app.example.com", false),
            ("https://app.example.com:443", false),
            ("https://app.example.com.evil.test", false),
            ("https://evil.test/.pages.example.com:8443", false),
            ("https://evil.test:1@x.pages.example.com:8443", false),
            ("https://.pages.example.com:8443", false),
            ("https://pages.example.com:8443", false),
            ("https://pr-7.pages.example.com", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(cors.allows(origin.as_bytes()), is_allowed, "{origin}");
        }
    }

    #[test]
    fn an_answer_names_the_origin_and_varies_by_it() {
        let origin = "https://app.example.com";
        let some = cors(serde_json::json!({
            "origins": [origin], "credentials": true, "expose": ["x-release", "retry-after"],
            "headers": ["authorization"], "max_age": "1h",
        }));
        let expected = [
            "vary: origin",
            "access-control-expose-headers: x-release, retry-after",
            "access-control-allow-origin: https://app.example.com",
            "access-control-allow-credentials: true",
        ];
        assert_eq!(text(some.answer(Some(origin.as_bytes()))), expected);
        assert_eq!(text(some.answer(None)), ["vary: origin"]);
        let expected = [
            "vary: origin, access-control-request-method, access-control-request-headers",
            "access-control-allow-methods: GET, HEAD, POST",
            "access-control-allow-headers: authorization",
            "access-control-max-age: 3600",
            "access-control-allow-origin: https://app.example.com",
            "access-control-allow-credentials: true",
        ];
        assert_eq!(text(some.preflight(origin.as_bytes())), expected);
        let all = cors(serde_json::json!({ "origins": ["*"] }));
        assert!(all.allows(b"null"));
        let answer = text(all.answer(Some(origin.as_bytes())));
        assert_eq!(answer, ["access-control-allow-origin: *"]);
        assert!(text(all.answer(None)).is_empty());
    }
}
