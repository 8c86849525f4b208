//! Affinity key of a request: the hash of what identifies its session.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::hash;
use crate::model::{AffinitySource, MCP_PARAM, RequestView};

/// Longest value of a parameter in base64 that is decoded; a longer one is hashed as it is.
const LONGEST_PARAM: usize = 1_024;

/// Compiled sources of a route, in their order.
#[derive(Debug)]
pub(super) struct Affinity(Box<[Source]>);

#[derive(Debug)]
enum Source {
    Bearer,
    ClientAddress,
    Cookie(String),
    Header(String),
    /// With the whole name of the field.
    McpParam(String),
    Query(String),
}

impl Affinity {
    pub(super) fn new(sources: &[AffinitySource]) -> Self {
        Self(sources.iter().map(Source::new).collect())
    }

    /// Key of the first source that the request has.
    pub(super) fn key(&self, request: &impl RequestView) -> Option<u64> {
        self.0.iter().find_map(|source| source.key(request))
    }
}

impl Source {
    fn new(source: &AffinitySource) -> Self {
        match source {
            AffinitySource::Bearer => Self::Bearer,
            AffinitySource::ClientAddress => Self::ClientAddress,
            AffinitySource::Cookie(name) | AffinitySource::GeneratedCookie(name) => {
                Self::Cookie(name.clone())
            }
            AffinitySource::Header(name) => Self::Header(name.clone()),
            AffinitySource::McpParam(name) => Self::McpParam(format!("{MCP_PARAM}{name}")),
            AffinitySource::Query(name) => Self::Query(name.clone()),
        }
    }

    fn key(&self, request: &impl RequestView) -> Option<u64> {
        // An empty value identifies no session: all clients that send one would get the same release.
        let of = |value: &[u8]| {
            let is_empty = value.is_empty() || value == b"\"\"";
            (!is_empty).then(|| hash::key_of(value))
        };
        match self {
            Self::Bearer => of(request.header("authorization")?),
            Self::ClientAddress => match request.client_address()?.to_canonical() {
                IpAddr::V4(address) => of(&address.octets()),
                IpAddr::V6(address) => of(&address.octets()),
            },
            Self::Cookie(name) => of(request.cookie(name)?),
            Self::Header(name) => of(request.header(name)?),
            Self::McpParam(name) => {
                let mut buffer = [0; LONGEST_PARAM];
                of(parameter(request.header(name)?, &mut buffer))
            }
            Self::Query(name) => of(query_value(request.query()?, name)?),
        }
    }
}

/// Value of a parameter. One that is no plain text is sent as `=?base64?…?=`, so a value has two forms.
fn parameter<'v>(value: &'v [u8], buffer: &'v mut [u8; LONGEST_PARAM]) -> &'v [u8] {
    let encoded = value
        .strip_prefix(b"=?base64?")
        .and_then(|rest| rest.strip_suffix(b"?="));
    match encoded.map(|encoded| STANDARD.decode_slice(encoded, buffer)) {
        Some(Ok(length)) => &buffer[..length],
        _ => value,
    }
}

/// Value of the first parameter of that name.
fn query_value<'q>(query: &'q [u8], name: &str) -> Option<&'q [u8]> {
    query.split(|&byte| byte == b'&').find_map(|pair| {
        let equals = memchr::memchr(b'=', pair)?;
        (&pair[..equals] == name.as_bytes()).then(|| &pair[equals + 1..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request {
        headers: Vec<(&'static str, &'static str)>,
        cookie: Option<&'static str>,
        query: Option<&'static str>,
        client: Option<IpAddr>,
    }

    impl RequestView for Request {
        fn method(&self) -> &'static str {
            "GET"
        }
        fn host(&self) -> &'static str {
            ""
        }
        fn path(&self) -> &'static str {
            "/"
        }
        fn query(&self) -> Option<&[u8]> {
            self.query.map(str::as_bytes)
        }
        fn client_address(&self) -> Option<IpAddr> {
            self.client
        }
        fn header(&self, name: &str) -> Option<&[u8]> {
            let mut headers = self.headers.iter();
            let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_bytes())
        }
        fn cookie(&self, _: &str) -> Option<&[u8]> {
            self.cookie.map(str::as_bytes)
        }
    }

    const NOTHING: Request = Request {
        headers: Vec::new(),
        cookie: None,
        query: None,
        client: None,
    };

    fn affinity(sources: serde_json::Value) -> Affinity {
        let sources: Vec<AffinitySource> = serde_json::from_value(sources).unwrap();
        Affinity::new(&sources)
    }

    #[test]
    fn every_source_gives_the_hash_of_its_value() {
        let request = Request {
            headers: vec![
                ("x-a", "header"),
                ("authorization", "Bearer t"),
                ("mcp-param-user", "u7"),
            ],
            cookie: Some("cookie"),
            query: Some("a=1&sid=query&sid=other&sidx=9"),
            client: Some("::ffff:10.0.0.7".parse().unwrap()),
        };
        for (source, value) in [
            (serde_json::json!({"header": "x-a"}), &b"header"[..]),
            (serde_json::json!({"cookie": "c"}), b"cookie"),
            (serde_json::json!({"generated_cookie": "c"}), b"cookie"),
            (serde_json::json!({"query": "sid"}), b"query"),
            (serde_json::json!("bearer"), b"Bearer t"),
            (serde_json::json!("client_address"), &[10, 0, 0, 7]),
            (serde_json::json!({"mcp_param": "User"}), b"u7"),
        ] {
            let one = affinity(serde_json::json!([source]));
            assert_eq!(one.key(&request), Some(hash::key_of(value)), "{source}");
            assert_eq!(one.key(&NOTHING), None, "{source}");
        }
    }

    #[test]
    fn the_first_source_that_is_there_decides() {
        let sources =
            affinity(serde_json::json!([{"query": "sid"}, {"cookie": "c"}, "client_address"]));
        let client = Some("10.0.0.7".parse().unwrap());
        let by_address = Request { client, ..NOTHING };
        let by_cookie = Request {
            cookie: Some("x"),
            query: Some("sid=&a"),
            client,
            ..NOTHING
        };
        assert_eq!(sources.key(&by_address), Some(hash::key_of(&[10, 0, 0, 7])));
        assert_eq!(sources.key(&by_cookie), Some(hash::key_of(b"x")));
    }

    #[test]
    fn a_parameter_is_the_same_in_either_form() {
        let user = affinity(serde_json::json!([{"mcp_param": "user"}]));
        let of = |value| {
            user.key(&Request {
                headers: vec![("Mcp-Param-User", value)],
                ..NOTHING
            })
        };
        assert_eq!(of("=?base64?dTc=?="), of("u7"));
        assert_eq!(of("=?base64??="), None);
        let odd = "=?base64?*?=";
        assert_eq!(of(odd), Some(hash::key_of(odd.as_bytes())));
    }
}
