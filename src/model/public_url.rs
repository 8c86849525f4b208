//! URL at which clients reach the proxy, as it is written into agent cards: `scheme://host[:port][/path]`.

use std::{fmt, str::FromStr};

use super::{EndpointUrl, Scheme, text_serde::serde_as_text};

/// Longest path of such a URL.
const LONGEST_PATH: usize = 1024;

/// URL of the proxy or of a part of it. Paths follow it directly, so it has no `/` at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    origin: EndpointUrl,
    path: Box<str>,
}

impl PublicUrl {
    /// URL of the host that a request names; `None` if that is no valid host.
    pub fn of_request(scheme: Scheme, authority: &str) -> Option<Self> {
        let origin = format!("{}://{authority}", scheme.as_str());
        let origin = origin.parse().ok()?;
        // A path would have been an error, but for one `/`.
        (!authority.ends_with('/')).then(|| Self {
            origin,
            path: "".into(),
        })
    }

    /// The same with a path below it, which begins with `/` or is empty.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        let path = path.strip_suffix('/').unwrap_or(path);
        Self {
            origin: self.origin.clone(),
            path: format!("{}{path}", self.path).into(),
        }
    }

    /// Its scheme, host and port.
    pub fn origin(&self) -> &EndpointUrl {
        &self.origin
    }

    /// Its path, without a `/` at the end; empty if it has none.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.origin.scheme().as_str();
        write!(f, "{scheme}://{}{}", self.origin.authority(), self.path)
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` is not a public URL: {why}");
        let start = text.find("://").map_or(0, |scheme| scheme + 3);
        let end = text[start..].find('/').map_or(text.len(), |at| start + at);
        let (origin, path) = text.split_at(end);
        let origin: EndpointUrl = origin.parse().map_err(|_| {
            wrong("write it as clients do, such as `https://agents.example.com` or `http://10.0.0.1:8080/chat`")
        })?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let odd = |b: u8| !b.is_ascii_graphic() || b"?#\\\"<>".contains(&b);
        if path.bytes().any(odd) || path.contains("//") || path.len() > LONGEST_PATH {
            return Err(wrong(
                "its path has a query, a space, `//` or a character that needs an escape",
            ));
        }
        Ok(Self {
            origin,
            path: path.into(),
        })
    }
}

serde_as_text!(PublicUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_are_read_and_written_in_one_form() {
        for (text, form) in [
            ("https://Agents.Example", "https://agents.example"),
            ("https://agents.example:443/", "https://agents.example"),
            (
                "http://agents.example:8080/chat/",
                "http://agents.example:8080/chat",
            ),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), form);
            assert_eq!(form.parse::<PublicUrl>().unwrap(), url);
        }
    }

    #[test]
    fn what_is_not_a_public_url_is_refused() {
        for bad in [
            "",
            "agents.example",
            "ftp://agents.example",
            "https://",
            "https://u@agents.example",
            "https://agents.example?x",
            "https://agents.example/a?x",
            "https://agents.example/a b",
            "https://agents.example//a",
            "https://agents.example/é",
        ] {
            assert!(bad.parse::<PublicUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_host_of_a_request_makes_a_public_url() {
        let of = |scheme, host| PublicUrl::of_request(scheme, host).map(|url| url.to_string());
        let https = |host| of(Scheme::Https, host);
        assert_eq!(
            https("Agents.example:443").as_deref(),
            Some("https://agents.example")
        );
        assert_eq!(
            of(Scheme::Http, "[::1]:81").as_deref(),
            Some("http://[::1]:81")
        );
        for bad in ["", "a/", "a/b", "u@a", "a:0", "a b"] {
            assert_eq!(https(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_path_below_it_keeps_no_slash_at_the_end() {
        let url: PublicUrl = "https://a.example/base".parse().unwrap();
        assert_eq!(
            url.below("/chat/").to_string(),
            "https://a.example/base/chat"
        );
        assert_eq!(url.below(""), url);
        assert_eq!(url.below("/"), url);
    }
}
