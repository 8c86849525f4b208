//! Value of a header field with variables, compiled: `{release} at {client_address}`. Braces themselves are doubled.
//!
//! The braces have no `$` before them: `${NAME}` in a file is a variable of the environment.

use thiserror::Error;

use crate::model::closest;

/// Variable of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderVariable {
    /// Address of the client.
    ClientAddress,
    /// Host that the client requested, without a port.
    Host,
    /// Release that serves the request.
    Release,
    /// Id of the request.
    RequestId,
    /// Revision by which the release was chosen.
    Revision,
    /// The route.
    Route,
    /// Version of the release.
    Version,
}

/// Value of a field, in parts.
#[derive(Debug, PartialEq, Eq)]
pub struct HeaderTemplate(Box<[Part]>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Variable(HeaderVariable),
}

/// Reason why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum TemplateError {
    /// A brace without the other one.
    #[error("a `{0}` stands alone")]
    Brace(char),
    /// There is no variable of that name.
    #[error("there is no variable `{{{0}}}`")]
    Unknown(String),
}

// === impl HeaderVariable ===

impl HeaderVariable {
    /// All variables with their names.
    pub(super) const ALL: [(&'static str, Self); 7] = [
        ("client_address", Self::ClientAddress),
        ("host", Self::Host),
        ("release", Self::Release),
        ("request_id", Self::RequestId),
        ("revision", Self::Revision),
        ("route", Self::Route),
        ("version", Self::Version),
    ];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, variable)| *variable == self)
            .map_or("", |(name, _)| name)
    }

    /// True if only a request gives it a value.
    pub const fn is_of_request(self) -> bool {
        matches!(self, Self::ClientAddress | Self::Host)
    }

    /// True if only a chosen release gives it a value.
    pub const fn is_of_release(self) -> bool {
        matches!(self, Self::Release | Self::Revision | Self::Version)
    }
}

// === impl TemplateError ===

impl TemplateError {
    /// Suggested fix.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Brace(brace) => format!("a brace itself is doubled: `{brace}{brace}`"),
            Self::Unknown(name) => {
                let names = HeaderVariable::ALL.iter().map(|(name, _)| *name);
                closest(name, names.clone()).unwrap_or_else(|| {
                    let names: Vec<_> = names.map(|name| format!("`{{{name}}}`")).collect();
                    format!("there are {}; a brace itself is doubled", names.join(", "))
                })
            }
        }
    }
}

// === impl HeaderTemplate ===

impl HeaderTemplate {
    /// Compiles a value.
    ///
    /// # Errors
    /// The first brace that stands alone, or the first unknown variable.
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push_str(&from[..1]);
                rest = after;
                continue;
            }
            let inside = from.strip_prefix('{').ok_or(TemplateError::Brace('}'))?;
            let (name, after) = inside.split_once('}').ok_or(TemplateError::Brace('{'))?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain).into()));
            }
            parts.push(Part::Variable(variable(name)?));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self(parts.into()))
    }

    /// Its variables.
    pub fn variables(&self) -> impl Iterator<Item = HeaderVariable> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Variable(variable) => Some(*variable),
        })
    }

    /// Appends the value; `value_of` appends that of a variable. Of that, only what may be in a field stays.
    pub fn write(&self, out: &mut Vec<u8>, mut value_of: impl FnMut(HeaderVariable, &mut Vec<u8>)) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(variable) => {
                    let start = out.len();
                    value_of(*variable, out);
                    keep_printable(out, start);
                }
            }
        }
    }
}

/// Removes what is no printable character of ASCII from the bytes after `start`.
fn keep_printable(out: &mut Vec<u8>, start: usize) {
    let mut end = start;
    for at in start..out.len() {
        let byte = out[at];
        if byte == b' ' || byte.is_ascii_graphic() {
            out[end] = byte;
            end += 1;
        }
    }
    out.truncate(end);
}

fn variable(name: &str) -> Result<HeaderVariable, TemplateError> {
    let mut all = HeaderVariable::ALL.into_iter();
    let found = all.find(|(known, _)| *known == name);
    found
        .map(|(_, variable)| variable)
        .ok_or_else(|| TemplateError::Unknown(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> Result<String, TemplateError> {
        let template = HeaderTemplate::parse(text)?;
        let mut out = Vec::new();
        template.write(&mut out, |variable, out| {
            let (name, _) = HeaderVariable::ALL
                .into_iter()
                .find(|(_, own)| *own == variable)
                .unwrap();
            out.extend_from_slice(name.to_ascii_uppercase().as_bytes());
        });
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn variables_are_replaced_and_doubled_braces_are_braces() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{release}", "RELEASE"),
            ("a {route}/{version}, b", "a ROUTE/VERSION, b"),
            ("{{\"id\":\"{request_id}\"}}", "{\"id\":\"REQUEST_ID\"}"),
            ("{{release}}", "{release}"),
        ] {
            assert_eq!(written(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_template_is_told_with_a_hint() {
        assert_eq!(written("a}"), Err(TemplateError::Brace('}')));
        assert_eq!(written("{release"), Err(TemplateError::Brace('{')));
        let unknown = written("{rout}").unwrap_err();
        assert_eq!(unknown, TemplateError::Unknown("rout".into()));
        assert_eq!(unknown.hint(), "did you mean `route`?");
        assert!(
            written("{}")
                .unwrap_err()
                .hint()
                .contains("`{client_address}`")
        );
    }

    proptest! {
        #[test]
        fn variables_never_carry_control_characters(
            text in "[ -~]{0,40}",
            value in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            for text in [text.as_str(), "{host}", "a{release}b{client_address}"] {
                let Ok(template) = HeaderTemplate::parse(text) else { continue };
                let mut out = Vec::new();
                template.write(&mut out, |_, out| out.extend_from_slice(&value));
                prop_assert!(out.iter().all(|byte| (b' '..=b'~').contains(byte)));
            }
        }
    }
}
