//! Normal form of a path, to detect paths that two recipients could interpret differently.
//!
//! The proxy forwards the received bytes. It matches routes on both the received path and its normal form, and rejects
//! the request if the routes differ; so the normal form must cover everything that some application would resolve.

use std::borrow::Cow;

use super::{Reason, swar};

/// Normalizes a path: unreserved characters decoded, `\`, `%5C` and `%2F` read as separators, repeated separators
/// merged, dot segments removed. Borrowed if the path is in normal form already.
///
/// # Errors
///
/// `InvalidEscape` for a `%` without two hexadecimal digits, and for `%00`.
pub fn normal_path(path: &[u8]) -> Result<Cow<'_, [u8]>, Reason> {
    if is_plain(path) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path)?;
    let normal = remove_dot_segments(&decoded);
    Ok(if normal == path {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(normal)
    })
}

/// True if the path cannot change: no escape, no backslash, no segment that is empty or starts with a dot.
fn is_plain(path: &[u8]) -> bool {
    let mut at = 0;
    loop {
        at = swar::find(
            path,
            at,
            |word| swar::equal(word, b'%') | swar::equal(word, b'\\') | swar::equal(word, b'/'),
            |byte| matches!(byte, b'%' | b'\\' | b'/'),
        );
        match &path[at..] {
            [] => return true,
            [b'/', b'/' | b'.', ..] | [b'%' | b'\\', ..] => return false,
            _ => at += 1,
        }
    }
}

fn decode(path: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'%' => {
                let (escaped, after) = escape(after)?;
                rest = after;
                push_escaped(&mut decoded, escaped);
            }
            b'\\' => decoded.push(b'/'),
            byte => decoded.push(*byte),
        }
    }
    Ok(decoded)
}

fn escape(text: &[u8]) -> Result<(u8, &[u8]), Reason> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    if let [high, low, rest @ ..] = text
        && let (Some(high), Some(low)) = (digit(high), digit(low))
        && let Ok(byte @ 1..) = u8::try_from(high * 16 + low)
    {
        return Ok((byte, rest));
    }
    Err(Reason::InvalidEscape)
}

fn push_escaped(decoded: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    match byte {
        b'/' | b'\\' => decoded.push(b'/'),
        b'-' | b'.' | b'_' | b'~' => decoded.push(byte),
        byte if byte.is_ascii_alphanumeric() => decoded.push(byte),
        byte => decoded.extend([
            b'%',
            HEX[usize::from(byte >> 4)],
            HEX[usize::from(byte & 15)],
        ]),
    }
}

/// RFC 3986, section 5.2.4, and empty segments are removed as well.
fn remove_dot_segments(path: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(path.len());
    let mut segments = path
        .split(|&byte| byte == b'/')
        .skip(usize::from(path.first() == Some(&b'/')))
        .peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => normal.truncate(normal.iter().rposition(|&byte| byte == b'/').unwrap_or(0)),
            segment => {
                normal.push(b'/');
                normal.extend_from_slice(segment);
                continue;
            }
        }
        if is_last {
            normal.push(b'/');
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_normal_form_is_borrowed() {
        for path in [
            "/",
            "/a",
            "/a/b.c/",
            "/a/b..c/d.",
            "/a:b@c!$&'()*+,;=-_~",
            "/a%20b",
            "/%C3%A4",
            "/a%25b",
            "*",
        ] {
            let normal = normal_path(path.as_bytes()).unwrap();
            assert_eq!(normal, path.as_bytes());
            assert!(matches!(normal, Cow::Borrowed(_)), "{path}");
        }
    }

    #[test]
    fn other_paths_get_their_normal_form() {
        let cases = [
            ("/%61", "/a"),
            ("/a%2Fb", "/a/b"),
            ("/a%2fb", "/a/b"),
            ("/a%5Cb", "/a/b"),
            ("/a%5cb", "/a/b"),
            ("/a\\b", "/a/b"),
            ("//", "/"),
            ("/a//b", "/a/b"),
            ("/a/", "/a/"),
            ("/a//", "/a/"),
            ("/./a", "/a"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/../b", "/b"),
            ("/../../a", "/a"),
            ("/a/b/../..", "/"),
            ("/%2e%2e/a", "/a"),
            ("/a/%2E./b", "/b"),
            ("/a/..%2fb", "/b"),
            ("/a/%2e%2e%5cb", "/b"),
            ("/.a", "/.a"),
            ("/..a/...", "/..a/..."),
            ("/a%c3%a4", "/a%C3%A4"),
            ("/a%252e", "/a%252e"),
            ("/%2f/a", "/a"),
            ("/a/%2e", "/a/"),
            ("/..", "/"),
            ("/.", "/"),
            ("\\\\a", "/a"),
            ("/a/..//b", "/b"),
            ("/%7e%2D", "/~-"),
        ];
        for (path, expected) in cases {
            let normal = normal_path(path.as_bytes()).unwrap();
            assert_eq!(normal, expected.as_bytes(), "{path}");
            assert_eq!(normal_path(&normal).unwrap(), normal, "{path}");
        }
    }

    #[test]
    fn broken_escapes_are_refused() {
        for path in ["/%", "/%4", "/%zz", "/%4g", "/%%41", "/%00", "/a%0", "/%+1"] {
            assert_eq!(
                normal_path(path.as_bytes()),
                Err(Reason::InvalidEscape),
                "{path}"
            );
        }
    }
}
