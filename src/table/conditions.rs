//! Conditions of a route beside its host and path: methods, header fields and parameters of the query.

use crate::model::{RequestView, RouteSpec};

/// Conditions that a request fulfils all.
#[derive(Debug)]
pub(super) struct Conditions {
    // Any method if empty.
    methods: Box<[Box<str>]>,
    headers: Box<[(Box<str>, Box<str>)]>,
    query: Box<[(Box<str>, Box<str>)]>,
}

impl Conditions {
    /// The conditions of a route; `None` if it has none.
    pub(super) fn of(route: &RouteSpec) -> Option<Box<Self>> {
        let pair =
            |(name, value): (&String, &String)| (name.as_str().into(), value.as_str().into());
        let conditions = Self {
            methods: route
                .methods
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            headers: route.headers.iter().map(pair).collect(),
            query: route.query.iter().map(pair).collect(),
        };
        (conditions.count() > 0).then(|| Box::new(conditions))
    }

    /// Their number, by which the more specific of two routes is found. All methods of a route are one.
    pub(super) fn count(&self) -> usize {
        self.headers.len() + self.query.len() + usize::from(!self.methods.is_empty())
    }

    /// True if a request fulfils them all.
    pub(super) fn hold(&self, request: &impl RequestView) -> bool {
        let has =
            |(name, value): &(Box<str>, Box<str>)| request.header(name) == Some(value.as_bytes());
        let query = || request.query().unwrap_or_default();
        let asks = |(name, value): &(Box<str>, Box<str>)| has_parameter(query(), name, value);
        self.accepts(request.method())
            && self.headers.iter().all(has)
            && self.query.iter().all(asks)
    }

    /// True if a request may have the method. Who accepts `GET` accepts `HEAD` (RFC 9110, section 9.1).
    fn accepts(&self, method: &str) -> bool {
        let is = |name: &str| name == method || method == "HEAD" && name == "GET";
        self.methods.is_empty() || self.methods.iter().any(|name| is(name))
    }
}

/// True if the first parameter of the name has the value. Both are compared without their escapes.
fn has_parameter(query: &[u8], name: &str, value: &str) -> bool {
    let halves = |pair| match memchr::memchr(b'=', pair) {
        Some(equals) => (&pair[..equals], &pair[equals + 1..]),
        None => (pair, &b""[..]),
    };
    let mut pairs = query.split(|&byte| byte == b'&').map(halves);
    let found = pairs.find(|(own, _)| decoded(own).eq(name.bytes()));
    found.is_some_and(|(_, own)| decoded(own).eq(value.bytes()))
}

/// The bytes of a part of a query: `+` is a space, and a `%` without two hexadecimal digits is itself.
fn decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        if byte == b'+' {
            return Some(b' ');
        }
        if byte == b'%'
            && let [high, low, more @ ..] = after
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            rest = more;
            return Some(high << 4 | low);
        }
        Some(byte)
    })
}

fn digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_compared_without_its_escapes() {
        for (query, holds) in [
            ("version=2", true),
            ("a=1&version=2&b", true),
            ("version=%32", true),
            ("%76ersion=2", true),
            ("version=2&version=3", true),
            ("version=3&version=2", false),
            ("version=22", false),
            ("version", false),
            ("versions=2", false),
            ("Version=2", false),
            ("", false),
            ("version=%2", false),
        ] {
            assert_eq!(
                has_parameter(query.as_bytes(), "version", "2"),
                holds,
                "{query}"
            );
        }
        assert!(has_parameter(b"q=a+b%26c", "q", "a b&c"));
        assert!(has_parameter(b"debug", "debug", ""));
        assert!(has_parameter(b"debug=", "debug", ""));
        assert!(has_parameter("q=%C3%A9".as_bytes(), "q", "é"));
        assert!(has_parameter(b"q=%zz%", "q", "%zz%"));
    }
}
