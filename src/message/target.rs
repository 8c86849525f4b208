//! Request targets in the forms of RFC 9112, section 3.2.

use super::{Authority, Method, Reason, grammar, swar};
use crate::model::Scheme;

/// A validated request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'h> {
    /// Its form.
    pub form: Form,
    /// Scheme of an absolute form.
    pub scheme: Option<Scheme>,
    /// Authority of an absolute form; it overrides `Host`.
    pub authority: Option<Authority<'h>>,
    /// Path as received; `/` if an absolute form had none, `*` for the asterisk form.
    pub path: &'h [u8],
    /// Query after the first `?`, if present.
    pub query: Option<&'h [u8]>,
}

/// Form of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `http://host/path`.
    Absolute,
    /// `*`, with `OPTIONS` only.
    Asterisk,
    /// `/path`.
    Origin,
}

// === impl Target ===

impl<'h> Target<'h> {
    /// Parses and validates a target, or the `:path` of HTTP/2.
    ///
    /// # Errors
    ///
    /// `ConnectRefused` for that method; `InvalidTarget` for none of the forms, `*` without `OPTIONS`, and bytes that
    /// no form allows: controls, spaces, `#`, non-ASCII; `InvalidHost` for an invalid authority.
    pub fn parse(method: Method, text: &'h [u8]) -> Result<Self, Reason> {
        if method == Method::Connect {
            return Err(Reason::ConnectRefused);
        }
        if !grammar::is_target(text) {
            return Err(Reason::InvalidTarget);
        }
        match text {
            [b'/', ..] => Ok(Self::with_path(Form::Origin, None, None, text)),
            b"*" if method == Method::Options => {
                Ok(Self::with_path(Form::Asterisk, None, None, text))
            }
            text => Self::parse_absolute(method, text),
        }
    }

    fn parse_absolute(method: Method, text: &'h [u8]) -> Result<Self, Reason> {
        let (scheme, rest) = split_scheme(text).ok_or(Reason::InvalidTarget)?;
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?'))
            .unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority = Some(Authority::parse(authority)?);
        let target = match path {
            // RFC 9112, 3.2.4: an absolute form without path and query means the server itself.
            [] if method == Method::Options => {
                Self::with_path(Form::Asterisk, Some(scheme), authority, b"*")
            }
            [b'/', ..] => Self::with_path(Form::Absolute, Some(scheme), authority, path),
            [] => Self::with_path(Form::Absolute, Some(scheme), authority, b"/"),
            [_, query @ ..] => Self {
                form: Form::Absolute,
                scheme: Some(scheme),
                authority,
                path: b"/",
                query: Some(query),
            },
        };
        Ok(target)
    }

    fn with_path(
        form: Form,
        scheme: Option<Scheme>,
        authority: Option<Authority<'h>>,
        text: &'h [u8],
    ) -> Self {
        let mark = swar::find(text, 0, |word| swar::equal(word, b'?'), |byte| byte == b'?');
        let (path, query) = match text.get(mark + 1..) {
            Some(query) => (&text[..mark], Some(query)),
            None => (text, None),
        };
        Self {
            form,
            scheme,
            authority,
            path,
            query,
        }
    }
}

fn split_scheme(text: &[u8]) -> Option<(Scheme, &[u8])> {
    [
        (Scheme::Http, &b"http://"[..]),
        (Scheme::Https, b"https://"),
    ]
    .into_iter()
    .find_map(|(scheme, prefix)| {
        let (start, rest) = text.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some((scheme, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Target<'_>, Reason> {
        Target::parse(Method::Get, text.as_bytes())
    }

    #[test]
    fn an_origin_form_splits_at_the_first_question_mark() {
        let target = parse("/a/b?c=d?e").unwrap();
        assert_eq!(
            (target.form, target.path, target.query),
            (Form::Origin, &b"/a/b"[..], Some(&b"c=d?e"[..]))
        );
        assert_eq!(parse("/").unwrap().query, None);
        assert_eq!(parse("/?").unwrap().query, Some(&b""[..]));
        assert_eq!(parse("//evil.example/x").unwrap().path, b"//evil.example/x");
    }

    #[test]
    fn an_absolute_form_carries_its_authority() {
        for (text, path, query) in [
            ("http://a.example:81/x?y", "/x", Some("y")),
            ("HTTP://a.example:81", "/", None),
            ("https://a.example:81?y/z", "/", Some("y/z")),
        ] {
            let target = parse(text).unwrap();
            assert_eq!(target.form, Form::Absolute);
            assert_eq!(target.authority.unwrap().as_str(), "a.example:81");
            assert_eq!(
                (target.path, target.query),
                (path.as_bytes(), query.map(str::as_bytes))
            );
        }
    }

    #[test]
    fn an_asterisk_goes_with_options_only() {
        assert_eq!(parse("*"), Err(Reason::InvalidTarget));
        for text in ["*", "http://a.example"] {
            let target = Target::parse(Method::Options, text.as_bytes()).unwrap();
            assert_eq!((target.form, target.path), (Form::Asterisk, &b"*"[..]));
        }
        assert_eq!(
            Target::parse(Method::Options, b"*?a"),
            Err(Reason::InvalidTarget)
        );
    }

    #[test]
    fn connect_is_refused_whatever_its_target() {
        for text in ["a.example:443", "/", "*", "http://a.example/"] {
            assert_eq!(
                Target::parse(Method::Connect, text.as_bytes()),
                Err(Reason::ConnectRefused)
            );
        }
    }

    #[test]
    fn odd_targets_are_refused() {
        for text in [
            "",
            "a",
            "a.example:443",
            "ftp://a/",
            "http:/a",
            "http:a",
            "//",
            "/a#b",
            "/a b",
            "/a\0",
            "/a\t",
            "/a\u{7f}",
            "/\u{e4}",
            "http://a#b",
            "?a",
            "\\a",
            "http//a/",
        ] {
            let verdict = parse(text);
            assert!(
                verdict == Err(Reason::InvalidTarget) || text == "//" && verdict.is_ok(),
                "{text:?} {verdict:?}"
            );
        }
        for text in [
            "http://",
            "http:///a",
            "http://u@a/",
            "http://a:b/",
            "http://a\\b/",
            "http://a:/",
        ] {
            assert_eq!(parse(text), Err(Reason::InvalidHost), "{text:?}");
        }
    }
}
