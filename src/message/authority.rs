//! The authority of a request: `host` or `host:port`, from `Host`, an absolute-form target or `:authority`.
//!
//! Stricter than RFC 3986: no user information, no percent encoding, no sub-delimiters, no empty port.

use std::net::Ipv6Addr;

use super::{Reason, grammar};

/// A validated authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'h> {
    text: &'h str,
    host: Host<'h>,
    port: Option<u16>,
}

/// The host of an authority: a DNS name without its final dot, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'h>(&'h str);

/// The longest host: a DNS name has at most 253 characters, and its final dot.
const MAX_HOST: usize = 254;

// === impl Authority ===

impl<'h> Authority<'h> {
    /// Parses and validates an authority.
    ///
    /// # Errors
    ///
    /// `InvalidHost` unless it is one host that a DNS resolver or an address parser accepts, and at most one port.
    pub fn parse(text: &'h [u8]) -> Result<Self, Reason> {
        let end = match text {
            [b'[', rest @ ..] => {
                let close = rest.iter().position(|&byte| byte == b']');
                close.ok_or(Reason::InvalidHost)? + 2
            }
            _ => name_end(text)?,
        };
        let port = match &text[end..] {
            [b':', port @ ..] => Some(parse_port(port)?),
            [] => None,
            _ => return Err(Reason::InvalidHost),
        };
        // Every byte of the name and its delimiters was validated above, and is ASCII.
        let text = str::from_utf8(text).map_err(|_| Reason::InvalidHost)?;
        let host = if text.starts_with('[') {
            Host::parse(&text[..end])?
        } else {
            Host::rooted(&text[..end])
        };
        Ok(Self { text, host, port })
    }

    /// The authority as it was sent.
    pub const fn as_str(&self) -> &'h str {
        self.text
    }

    /// The host without the port.
    pub const fn host(&self) -> Host<'h> {
        self.host
    }

    /// The port, if one was sent.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }
}

fn parse_port(text: &[u8]) -> Result<u16, Reason> {
    if text.len() > 5 {
        return Err(Reason::InvalidHost);
    }
    let number = grammar::digits(text).ok_or(Reason::InvalidHost)?;
    u16::try_from(number).map_err(|_| Reason::InvalidHost)
}

// === impl Host ===

impl<'h> Host<'h> {
    /// Validates a host without a port.
    ///
    /// # Errors
    ///
    /// `InvalidHost`, as for [`Authority::parse`].
    pub fn parse(text: &'h str) -> Result<Self, Reason> {
        let is_valid = match text.strip_prefix('[') {
            Some(rest) => rest
                .strip_suffix(']')
                .is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok()),
            None => name_end(text.as_bytes()) == Ok(text.len()),
        };
        if !is_valid {
            return Err(Reason::InvalidHost);
        }
        Ok(Self::rooted(text))
    }

    fn rooted(text: &'h str) -> Self {
        Self(text.strip_suffix('.').unwrap_or(text))
    }

    /// The host as it was sent, without a final dot.
    pub const fn as_str(&self) -> &'h str {
        self.0
    }

    /// True if it is the host `lower`, which is in lower case without a final dot.
    pub fn is(&self, lower: &str) -> bool {
        self.0.eq_ignore_ascii_case(lower)
    }

    /// True if it is a subdomain of `suffix`, which is in lower case and starts with a dot.
    pub fn is_below(&self, suffix: &str) -> bool {
        let (host, suffix) = (self.0.as_bytes(), suffix.as_bytes());
        host.len() > suffix.len() && host[host.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
    }

    /// The host in lower case; written to `buffer` unless it is in lower case already.
    pub fn lower<'b>(&self, buffer: &'b mut [u8; 256]) -> &'b str
    where
        'h: 'b,
    {
        if !self.0.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.0;
        }
        let lower = &mut buffer[..self.0.len()];
        lower.copy_from_slice(self.0.as_bytes());
        lower.make_ascii_lowercase();
        str::from_utf8(lower).unwrap_or(self.0)
    }
}

/// End of a host name: labels separated by single dots, with an optional final dot. It ends at a colon or at the end.
fn name_end(text: &[u8]) -> Result<usize, Reason> {
    let mut label_is_empty = true;
    let mut end = 0;
    for &byte in text {
        match byte {
            b'.' if label_is_empty => return Err(Reason::InvalidHost),
            b'.' => label_is_empty = true,
            _ if grammar::is_host_byte(byte) => label_is_empty = false,
            b':' => break,
            _ => return Err(Reason::InvalidHost),
        }
        end += 1;
    }
    if (1..=MAX_HOST).contains(&end) {
        Ok(end)
    } else {
        Err(Reason::InvalidHost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        let cases: [(&[u8], &str, Option<u16>); 9] = [
            (b"example.com", "example.com", None),
            (b"Example.COM:8080", "Example.COM", Some(8080)),
            (b"example.com.", "example.com", None),
            (b"example.com.:1", "example.com", Some(1)),
            (b"my_service:80", "my_service", Some(80)),
            (b"127.0.0.1:0", "127.0.0.1", Some(0)),
            (b"[::1]", "[::1]", None),
            (b"[2001:db8::1]:65535", "[2001:db8::1]", Some(65535)),
            (b"a~b-c.d", "a~b-c.d", None),
        ];
        for (text, host, port) in cases {
            let authority = Authority::parse(text).unwrap();
            assert_eq!((authority.host().as_str(), authority.port()), (host, port));
            assert_eq!(authority.as_str().as_bytes(), text);
        }
    }

    #[test]
    fn an_odd_authority_is_refused() {
        let long = [b'a'; 255];
        let cases: [&[u8]; 33] = [
            b"",
            b":",
            b":80",
            b"a:",
            b"a:b",
            b"a:65536",
            b"a:123456",
            b"a:+1",
            b"a:1:2",
            b"a:080808",
            b"a b",
            b" a",
            b"a@b",
            b"u:p@b",
            b"a/b",
            b"a?b",
            b"a#b",
            b"a,b",
            b"a%41",
            b"a..b",
            b".a",
            b".",
            b"a;b",
            b"a\\b",
            b"a\0",
            b"\xc3\xa4",
            b"::1",
            b"[::1",
            b"[::1]a",
            b"[::1%25lo]",
            b"[v1.a]",
            b"[]",
            &long,
        ];
        for text in cases {
            assert_eq!(
                Authority::parse(text),
                Err(Reason::InvalidHost),
                "{}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn hosts_compare_without_case_and_final_dot() {
        let authority = Authority::parse(b"Api.Example.com.:80").unwrap();
        let host = authority.host();
        assert!(host.is("api.example.com") && !host.is("example.com"));
        assert!(host.is_below(".example.com") && !host.is_below(".api.example.com"));
        assert_eq!(host.lower(&mut [0; 256]), "api.example.com");
        assert_eq!(Host::parse("a.b").unwrap().lower(&mut [0; 256]), "a.b");
    }
}
