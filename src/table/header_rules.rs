//! Changes of header fields, compiled: what is removed, and what is written.

use super::header_template::{HeaderTemplate, TemplateError};
use crate::{
    message::{Field, KnownField, KnownSet},
    model::{HeaderChangesSpec, RouteSpec},
};

/// Changes of the fields of a route's requests or responses.
#[derive(Debug)]
pub struct HeaderRules {
    // Classes of the names that are removed.
    known: KnownSet,
    removed: Box<[Box<str>]>,
    written: Box<[(Box<str>, HeaderTemplate)]>,
}

/// Changes of both directions of a route; each is `None` if nothing changes.
#[derive(Debug, Default)]
pub(super) struct HeaderRulesPair {
    pub(super) request: Option<Box<HeaderRules>>,
    pub(super) response: Option<Box<HeaderRules>>,
}

impl HeaderRulesPair {
    /// Compiles the changes of a route.
    ///
    /// # Errors
    /// A value that is no template, which validation has refused.
    pub(super) fn new(route: &RouteSpec) -> Result<Self, TemplateError> {
        Ok(Self {
            request: HeaderRules::new(&route.request_headers)?.map(Box::new),
            response: HeaderRules::new(&route.response_headers)?.map(Box::new),
        })
    }
}

impl HeaderRules {
    /// Compiles changes; `Ok(None)` if there are none.
    ///
    /// # Errors
    /// A value that is no template, which validation has refused.
    pub(super) fn new(spec: &HeaderChangesSpec) -> Result<Option<Self>, TemplateError> {
        if spec.is_empty() {
            return Ok(None);
        }
        let removed = spec.remove.iter().chain(spec.set.keys());
        let removed: Box<[Box<str>]> = removed.map(|name| name.as_str().into()).collect();
        let mut known = KnownSet::default();
        for name in &removed {
            known.insert(KnownField::of(name.as_bytes()));
        }
        let written = spec.set.iter().chain(&spec.add);
        let written = written
            .map(|(name, value)| Ok((name.as_str().into(), HeaderTemplate::parse(value)?)))
            .collect::<Result<_, _>>()?;
        Ok(Some(Self {
            known,
            removed,
            written,
        }))
    }

    /// Classes of the names of fields that it may remove.
    pub fn known(&self) -> KnownSet {
        let mut known = self.known;
        // Other spellings of a name have another class.
        known.insert(KnownField::Other);
        known
    }

    /// True if a received field is removed. `_` and `.` count as `-`, as in the names that CGI and WSGI give to fields, so
    /// that nobody passes another spelling for what was removed.
    pub fn takes(&self, field: &Field<'_>) -> bool {
        (field.known == KnownField::Other || self.known.contains(field.known))
            && self.removed.iter().any(|name| is_same(name, field.name))
    }

    /// Names and values of the fields that are written.
    pub fn written(&self) -> impl Iterator<Item = (&str, &HeaderTemplate)> {
        self.written.iter().map(|(name, value)| (&**name, value))
    }
}

/// True if two names may be taken for one another.
pub(super) fn is_same(own: &str, other: &[u8]) -> bool {
    let plain = |byte: u8| match byte {
        b'_' | b'.' => b'-',
        byte => byte.to_ascii_lowercase(),
    };
    own.len() == other.len()
        && own
            .bytes()
            .map(plain)
            .eq(other.iter().map(|byte| plain(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_removed_in_any_spelling_and_no_other_one() {
        let spec =
            serde_json::from_str(r#"{"set":{"x-user":"a"},"remove":["cookie","mcp-session-id"]}"#);
        let rules = HeaderRules::new(&spec.unwrap()).unwrap().unwrap();
        let takes = |name: &str| rules.takes(&Field::new(name.as_bytes(), b"v"));
        for name in [
            "x-user",
            "X-User",
            "x_user",
            "X.USER",
            "Cookie",
            "Mcp-Session-Id",
        ] {
            assert!(takes(name), "{name}");
            assert!(
                rules.known().contains(KnownField::of(name.as_bytes())),
                "{name}"
            );
        }
        for name in [
            "x-users",
            "set-cookie",
            "mcp-protocol-version",
            "x-use",
            "host",
        ] {
            assert!(!takes(name), "{name}");
        }
        assert_eq!(
            rules.written().map(|(name, _)| name).collect::<Vec<_>>(),
            ["x-user"]
        );
    }

    #[test]
    fn no_changes_are_no_rules() {
        assert!(
            HeaderRules::new(&HeaderChangesSpec::default())
                .unwrap()
                .is_none()
        );
    }
}
