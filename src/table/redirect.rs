//! A redirect, compiled: the URL of a request with other parts.
//!
//! The URL always begins with a scheme and a host that were validated, so nothing in a path or a query can lead anywhere
//! else, and whatever has no place in a URL is escaped.

use crate::model::{EndpointUrl, RedirectSpec, Scheme};

/// Redirect of a route.
#[derive(Debug)]
pub struct Redirect {
    scheme: Option<Scheme>,
    host: Option<Box<str>>,
    port: Option<u16>,
    path: NewPath,
    status: u16,
}

/// The path of the new URL, as clients send it: with its escapes, so that a request that has followed is recognised.
#[derive(Debug)]
enum NewPath {
    Same,
    Whole(Box<str>),
    /// Both without a `/` at the end.
    Prefix {
        from: Box<str>,
        to: Box<str>,
    },
}

impl Redirect {
    /// The redirect of a route with this path prefix.
    pub(super) fn new(spec: &RedirectSpec, prefix: Option<&str>) -> Self {
        let path = match (&spec.path, &spec.prefix) {
            (Some(path), _) => NewPath::Whole(escaped(path)),
            (None, Some(to)) => NewPath::Prefix {
                from: trimmed(prefix.unwrap_or_default()).into(),
                to: escaped(trimmed(to)),
            },
            (None, None) => NewPath::Same,
        };
        Self {
            scheme: spec.scheme,
            host: spec.host.as_deref().map(Into::into),
            port: spec.port,
            path,
            status: spec.status,
        }
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The URL that a request is led to; `None` if its own URL has all these parts already. `requested` is the scheme, host
    /// and port of the request.
    pub fn location(
        &self,
        requested: &EndpointUrl,
        path: &[u8],
        query: Option<&[u8]>,
    ) -> Option<Vec<u8>> {
        let new_path = self.path.of(path);
        if self.is_at(requested) && new_path.concat() == path {
            return None;
        }
        let scheme = self.scheme.unwrap_or(requested.scheme());
        let host = self.host.as_deref().unwrap_or(requested.host());
        let port = self.port.unwrap_or_else(|| {
            let is_same = scheme == requested.scheme() && self.host.is_none();
            if is_same {
                requested.port()
            } else {
                scheme.default_port()
            }
        });
        let authority = EndpointUrl::new(scheme, host, port).authority();
        let mut url = format!("{}://{authority}", scheme.as_str()).into_bytes();
        if !new_path.concat().starts_with(b"/") {
            // `OPTIONS *`, or a prefix with nothing behind it.
            url.push(b'/');
        }
        for part in new_path.into_iter().filter(|part| *part != b"*") {
            escape_into(&mut url, part, b"/");
        }
        if let Some(query) = query {
            url.push(b'?');
            escape_into(&mut url, query, b"/?");
        }
        Some(url)
    }

    /// True if the request has come to the scheme, host and port already.
    fn is_at(&self, requested: &EndpointUrl) -> bool {
        self.scheme
            .is_none_or(|scheme| scheme == requested.scheme())
            && self
                .host
                .as_deref()
                .is_none_or(|host| host == requested.host())
            && self.port.is_none_or(|port| port == requested.port())
    }
}

impl NewPath {
    /// The new path, in two parts.
    fn of<'p>(&'p self, path: &'p [u8]) -> [&'p [u8]; 2] {
        match self {
            Self::Same => [path, b""],
            Self::Whole(path) => [path.as_bytes(), b""],
            Self::Prefix { from, to } => match path.strip_prefix(from.as_bytes()) {
                Some(rest) if rest.is_empty() || rest.starts_with(b"/") => [to.as_bytes(), rest],
                _ => [path, b""],
            },
        }
    }
}

/// A path without the `/` at its end.
fn trimmed(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// A configured path with its escapes.
fn escaped(path: &str) -> Box<str> {
    let mut out = Vec::new();
    escape_into(&mut out, path.as_bytes(), b"/");
    String::from_utf8_lossy(&out).into()
}

/// Appends a text of which only the characters of paths (RFC 3986, section 3.3) and those of `more` stay.
fn escape_into(out: &mut Vec<u8>, text: &[u8], more: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        let stays = byte.is_ascii_alphanumeric()
            || b"-._~!$&'()*+,;=:@%".contains(&byte)
            || more.contains(&byte);
        if stays {
            out.push(byte);
        } else {
            out.push(b'%');
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redirect(json: &str, prefix: Option<&str>) -> Redirect {
        Redirect::new(&serde_json::from_str(json).unwrap(), prefix)
    }

    fn led(json: &str, prefix: Option<&str>, origin: &str, target: &str) -> Option<String> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.as_bytes())),
            None => (target, None),
        };
        let origin: EndpointUrl = origin.parse().unwrap();
        let url = redirect(json, prefix).location(&origin, path.as_bytes(), query);
        url.map(|url| String::from_utf8(url).unwrap())
    }

    #[test]
    fn a_redirect_replaces_what_it_names_and_keeps_the_rest() {
        for (json, origin, target, expected) in [
            (
                r#"{"scheme":"https"}"#,
                "http://a.test",
                "/x?y=1",
                "https://a.test/x?y=1",
            ),
            (
                r#"{"scheme":"https"}"#,
                "http://a.test:8080",
                "/",
                "https://a.test/",
            ),
            (
                r#"{"scheme":"https","port":8443}"#,
                "http://a.test:8080",
                "/",
                "https://a.test:8443/",
            ),
            (
                r#"{"host":"b.test"}"#,
                "http://a.test:8080",
                "/x?",
                "http://b.test/x?",
            ),
            (
                r#"{"host":"b.test"}"#,
                "https://a.test",
                "/x",
                "https://b.test/x",
            ),
            (r#"{"host":"::1"}"#, "http://a.test", "/", "http://[::1]/"),
            (
                r#"{"path":"/new"}"#,
                "http://a.test:81",
                "/x/y?z",
                "http://a.test:81/new?z",
            ),
            (
                r#"{"scheme":"https"}"#,
                "http://a.test",
                "*",
                "https://a.test/",
            ),
        ] {
            let url = led(json, None, origin, target);
            assert_eq!(url.as_deref(), Some(expected), "{json} {origin}{target}");
        }
    }

    #[test]
    fn a_prefix_takes_the_place_of_that_of_the_route() {
        let led = |from, to: &str, path| {
            led(
                &format!(r#"{{"prefix":"{to}"}}"#),
                Some(from),
                "http://a",
                path,
            )
        };
        assert_eq!(
            led("/v1/", "/v2", "/v1/x").as_deref(),
            Some("http://a/v2/x")
        );
        assert_eq!(led("/v1", "/", "/v1").as_deref(), Some("http://a/"));
        assert_eq!(
            led("/v1", "/", "/v1//evil.test/").as_deref(),
            Some("http://a//evil.test/")
        );
        assert_eq!(led("/", "/new", "/x").as_deref(), Some("http://a/new/x"));
    }

    #[test]
    fn a_request_that_is_there_already_goes_on() {
        for (json, origin, path) in [
            (r#"{"scheme":"https"}"#, "https://a.test:8443", "/x"),
            (r#"{"host":"b.test"}"#, "http://b.test:8080", "/x"),
            (r#"{"path":"/x"}"#, "http://a.test", "/x"),
            (r#"{"path":"/x[1]"}"#, "http://a.test", "/x%5B1%5D"),
            (
                r#"{"scheme":"https","host":"b.test"}"#,
                "https://b.test",
                "/",
            ),
        ] {
            assert_eq!(led(json, None, origin, path), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_location_has_the_host_of_the_request_or_the_configured_one_whatever_was_requested(
            path in proptest::collection::vec(any::<u8>(), 0..60),
            query in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
            which in 0_usize..6,
        ) {
            let specs = [
                (r#"{"scheme":"https"}"#, "https://a.test/"),
                (r#"{"host":"b.test"}"#, "http://b.test/"),
                (r#"{"port":81}"#, "http://a.test:81/"),
                (r#"{"path":"/new"}"#, "http://a.test/new"),
                (r#"{"prefix":"/"}"#, "http://a.test/"),
                (r#"{"prefix":"/new","scheme":"https"}"#, "https://a.test/"),
            ];
            let (json, begin) = specs[which];
            let origin = "http://a.test".parse().unwrap();
            let path = [b"/", &path[..]].concat();
            let url = redirect(json, Some("/")).location(&origin, &path, query.as_deref());
            let Some(url) = url else { return Ok(()) };
            let text = String::from_utf8(url).unwrap();
            prop_assert!(text.starts_with(begin), "{}", text);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{}", text);
            prop_assert!(!text.contains(['\\', '#', '"', '<', '>']), "{}", text);
            let parsed: hyper::Uri = text.parse().unwrap();
            prop_assert_eq!(parsed.authority().unwrap().host(), begin.split(['/', ':']).nth(3).unwrap());
        }
    }
}
