//! A copy of a request, in the form that either protocol is written from.

use crate::http1::HeadWriter;
use crate::http2::hpack::Encoder;
use crate::message::{Field, KnownField, KnownSet, RequestFraming};
use crate::model::{MIRROR_FIELD, Scheme};
use crate::proxy::io::FieldSink;

/// Fields that prove who a client is.
const CREDENTIALS: KnownSet = KnownSet::of(&[
    KnownField::Authorization,
    KnownField::ProxyAuthorization,
    KnownField::Cookie,
]);
/// The same by name, and keys of APIs that agents commonly take.
const SECRETS: [&[u8]; 5] = [
    b"authorization",
    b"proxy-authorization",
    b"cookie",
    b"api-key",
    b"x-api-key",
];

/// A request to be sent to a mirror.
pub(super) struct RequestCopy {
    pub(super) head: CopiedHead,
    pub(super) body: Vec<u8>,
}

/// The head of a copy: its target, and the fields that an endpoint gets.
pub(in crate::proxy) struct CopiedHead {
    method: Box<[u8]>,
    /// Path and, behind a `?`, query.
    target: Box<[u8]>,
    /// The host that the client asked for, unless the endpoint gets its own.
    host: Option<Box<[u8]>>,
    keeps_credentials: bool,
    /// Names and values, one behind the other.
    text: Vec<u8>,
    fields: Vec<FieldEnds>,
}

struct FieldEnds {
    known: KnownField,
    name: usize,
    value: usize,
}

// === impl CopiedHead ===

impl CopiedHead {
    /// A head without fields; they are written into it.
    pub(in crate::proxy) fn new(
        method: &[u8],
        (path, query): (&[u8], Option<&[u8]>),
        keeps_credentials: bool,
    ) -> Self {
        let target = match query {
            None => path.into(),
            Some(query) => [path, b"?", query].concat().into(),
        };
        Self {
            method: method.into(),
            target,
            host: None,
            keeps_credentials,
            text: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Makes the endpoint get its own host.
    pub(in crate::proxy) fn hide_host(&mut self) {
        self.host = None;
    }

    /// Removes the fields with such a name.
    pub(in crate::proxy) fn remove(&mut self, is_meant: impl Fn(&[u8]) -> bool) {
        let mut kept = Self::new(&self.method, (&self.target, None), true);
        for field in self.fields().filter(|field| !is_meant(field.name)) {
            kept.push(&field);
        }
        (self.text, self.fields) = (kept.text, kept.fields);
    }

    /// Its length in memory.
    pub(super) fn len(&self) -> usize {
        let fields = self.fields.len() * size_of::<FieldEnds>();
        self.method.len() + self.target.len() + self.text.len() + fields
    }

    /// True if sending the request changes nothing (RFC 9110, section 9.2.1).
    pub(super) fn is_safe(&self) -> bool {
        matches!(&*self.method, b"GET" | b"HEAD" | b"OPTIONS")
    }

    /// True if the answer has no body.
    pub(super) fn is_head(&self) -> bool {
        *self.method == *b"HEAD"
    }

    fn push(&mut self, field: &Field<'_>) {
        self.text.extend_from_slice(field.name);
        let name = self.text.len();
        self.text.extend_from_slice(field.value);
        self.fields.push(FieldEnds {
            known: field.known,
            name,
            value: self.text.len(),
        });
    }

    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let mut start = 0;
        self.fields.iter().map(move |ends| {
            let begin = std::mem::replace(&mut start, ends.value);
            Field {
                known: ends.known,
                name: &self.text[begin..ends.name],
                value: &self.text[ends.name..ends.value],
            }
        })
    }

    fn host<'h>(&'h self, authority: &'h str) -> &'h [u8] {
        self.host.as_deref().unwrap_or(authority.as_bytes())
    }

    /// The head for HTTP/1.1, with the mark; `None` if it has no such form.
    pub(super) fn http1(&self, authority: &str, release: &str, body: usize) -> Option<Vec<u8>> {
        let mut parts = self.target.splitn(2, |byte| *byte == b'?');
        let (path, query) = (parts.next()?, parts.next());
        let mut out = Vec::with_capacity(self.len() + 256);
        let mut writer = HeadWriter::request(&mut out, &self.method, path, query);
        writer.add("host", self.host(authority));
        // `te` would have to be nominated, and nobody reads the trailers.
        for field in self.fields().filter(|field| field.known != KnownField::Te) {
            writer.field(&field);
        }
        writer.add(MIRROR_FIELD, release);
        let framing = match body {
            0 if self.is_safe() => RequestFraming::None,
            length => RequestFraming::Length(length as u64),
        };
        writer.finish(framing).ok()?;
        Some(out)
    }

    /// The head for HTTP/2, with the mark; `None` if it has no such form.
    pub(super) fn http2(
        &self,
        (scheme, authority): (Scheme, &str),
        release: &str,
        body: usize,
    ) -> Option<Vec<u8>> {
        let mut block = Vec::with_capacity(self.len() + 256);
        let mut encoder = Encoder::new(&mut block);
        let mut is_valid = encoder.method(&self.method)
            && encoder.scheme(scheme.as_str().as_bytes())
            && encoder.path(&self.target)
            && encoder.authority(self.host(authority));
        for field in self.fields() {
            let is_secret = CREDENTIALS.contains(field.known);
            is_valid &= encoder.field(field.known, field.name, field.value, is_secret);
        }
        let mark = MIRROR_FIELD.as_bytes();
        is_valid &= encoder.field(KnownField::XSwitchback, mark, release.as_bytes(), false);
        if body > 0 {
            let length = body.to_string();
            let known = KnownField::ContentLength;
            is_valid &= encoder.field(known, b"content-length", length.as_bytes(), false);
        }
        is_valid.then_some(block)
    }
}

/// True if a field has this name for an endpoint, for many of which `_` and `.` are the same as `-`.
fn is_named(field: &Field<'_>, name: &[u8]) -> bool {
    let folded = |byte: &u8| match byte {
        b'_' | b'.' => b'-',
        other => other.to_ascii_lowercase(),
    };
    field.name.len() == name.len() && field.name.iter().map(folded).eq(name.iter().copied())
}

impl FieldSink for CopiedHead {
    fn field(&mut self, field: &Field<'_>) {
        let is_credential =
            CREDENTIALS.contains(field.known) || SECRETS.iter().any(|name| is_named(field, name));
        match field.known {
            KnownField::Host => self.host = Some(field.value.into()),
            // The body is sent at once.
            KnownField::Expect => {}
            _ if is_credential && !self.keeps_credentials => {}
            _ => self.push(field),
        }
    }

    fn add(&mut self, name: &'static str, value: &[u8]) {
        self.field(&Field::new(name.as_bytes(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(keeps: bool) -> CopiedHead {
        let mut head = CopiedHead::new(b"POST", (b"/a", Some(b"x=1")), keeps);
        for (name, value) in [
            ("host", "agents.test"),
            ("authorization", "Bearer x"),
            ("cookie", "a=1"),
            ("X-Api-Key", "k"),
            ("x_api.key", "k"),
            ("Proxy_Authorization", "k"),
            ("expect", "100-continue"),
            ("te", "trailers"),
            ("accept", "*/*"),
        ] {
            head.field(&Field::new(name.as_bytes(), value.as_bytes()));
        }
        head
    }

    #[test]
    fn a_copy_is_marked_and_has_no_credentials() {
        let text = head(false).http1("10.0.0.1:9", "green", 5).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            "POST /a?x=1 HTTP/1.1\r\nhost: agents.test\r\naccept: */*\r\nx-switchback-mirror: green\r\ncontent-length: 5\r\n\r\n"
        );
        assert!(head(false).http2((Scheme::Http, "a"), "green", 5).is_some());
    }

    #[test]
    fn credentials_stay_where_the_route_says_so_and_names_can_be_removed() {
        let mut head = head(true);
        head.hide_host();
        head.remove(|name| name == b"cookie");
        let text = head.http1("10.0.0.1:9", "green", 0).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains("authorization: Bearer x\r\nX-Api-Key: k\r\nx_api.key: k\r\n"),
            "{text}"
        );
        assert!(
            text.contains("host: 10.0.0.1:9\r\n") && !text.contains("cookie"),
            "{text}"
        );
    }
}
