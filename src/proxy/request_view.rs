//! Implements [`RequestView`] for request heads, for match rules and splits.

use crate::message::{Field, trim};
use crate::model::RequestView;

use super::io::RequestParts;

impl RequestView for RequestParts<'_> {
    fn method(&self) -> &str {
        text(self.method)
    }

    fn host(&self) -> &str {
        let authority = self.facts.authority.as_ref();
        let host = authority.map_or("", |authority| authority.host().as_str());
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host)
    }

    fn path(&self) -> &str {
        text(self.facts.target.path)
    }

    fn query(&self) -> Option<&[u8]> {
        self.facts.target.query
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let named = |field: &Field<'_>| field.name.eq_ignore_ascii_case(name.as_bytes());
        self.fields.clone().find(named).map(|field| field.value)
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        let cookies = self
            .fields
            .clone()
            .filter(|field| field.known == crate::message::KnownField::Cookie);
        cookies
            .flat_map(|field| field.value.split(|&byte| byte == b';'))
            .find_map(|pair| {
                let pair = trim(pair);
                let equals = memchr::memchr(b'=', pair)?;
                (&pair[..equals] == name.as_bytes()).then(|| &pair[equals + 1..])
            })
    }
}

/// Methods and targets were validated to be ASCII.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
