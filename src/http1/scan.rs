//! Incremental search for the end of a head, which refuses malformed lines on the way.

use std::ops::Range;

use super::start_line::request_line;
use crate::message::swar::{equal, find};
use crate::message::{Limits, Reason, Rejection, is_token_byte};

/// Progress of the search for the end of a head. A connection keeps it between two reads; the buffer must start with
/// the same bytes each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadScan {
    start: usize,
    searched: usize,
    has_line: bool,
}

/// Differences between the two kinds of heads.
#[derive(Clone, Copy)]
struct Rules {
    head: usize,
    line: usize,
    line_reason: Reason,
    /// RFC 9112, 2.2: a server ignores one empty line before a request line.
    leading_line: bool,
}

// === impl HeadScan ===

impl HeadScan {
    /// Searches `buffer` for the end of a request head: returns its range, or `None` while bytes are missing.
    ///
    /// # Errors
    ///
    /// A line that does not end in CR LF, a folded line, a second empty line before the head, an invalid request line,
    /// a request line or a head beyond its limit.
    pub fn request(
        &mut self,
        buffer: &[u8],
        limits: &Limits,
    ) -> Result<Option<Range<usize>>, Rejection> {
        let rules = Rules {
            head: limits.request_head,
            line: max_request_line(limits),
            line_reason: Reason::TargetTooLong,
            leading_line: true,
        };
        let searched = self.searched;
        let found = self.find(buffer, rules).map_err(Rejection::request)?;
        if found.is_none() && !self.has_line {
            self.check_line(buffer, searched)
                .map_err(Rejection::request)?;
        }
        Ok(found)
    }

    /// Refuses an invalid request line as soon as it is complete: a client older than HTTP/1.0 sends nothing else, and
    /// waits.
    fn check_line(&mut self, buffer: &[u8], searched: usize) -> Result<(), Reason> {
        let from = searched.max(self.start);
        let Some(unseen) = buffer.get(from..) else {
            return Ok(());
        };
        if memchr::memchr(b'\n', unseen).is_some() {
            request_line(&buffer[self.start..])?;
            self.has_line = true;
        }
        Ok(())
    }

    /// Searches `buffer` for the end of a response head.
    ///
    /// # Errors
    ///
    /// As [`HeadScan::request`]; the status is always 502.
    pub fn response(
        &mut self,
        buffer: &[u8],
        limits: &Limits,
    ) -> Result<Option<Range<usize>>, Rejection> {
        let rules = Rules {
            head: limits.response_head,
            line: limits.response_head,
            line_reason: Reason::HeadTooLarge,
            leading_line: false,
        };
        self.find(buffer, rules).map_err(Rejection::response)
    }

    fn find(&mut self, buffer: &[u8], rules: Rules) -> Result<Option<Range<usize>>, Reason> {
        if rules.leading_line && self.start == 0 && buffer.starts_with(b"\r\n") {
            self.start = 2;
        }
        match buffer.get(self.start..) {
            None | Some([]) => return Ok(None),
            Some([b'\r']) if rules.leading_line && self.start == 0 => return Ok(None),
            Some([b'\r' | b'\n' | b' ' | b'\t', ..]) => return Err(Reason::InvalidLineEnd),
            Some([first, ..]) if !is_token_byte(*first) => return Err(Reason::InvalidStartLine),
            Some(_) => {}
        }
        // Only bytes in which an end may have begun are searched again.
        let from = self.searched.saturating_sub(3).max(self.start);
        let end = find_end(buffer, from)?;
        self.searched = buffer.len();
        let seen = end.unwrap_or(buffer.len());
        check_size(&buffer[self.start..seen], end.is_some(), rules)?;
        Ok(end.map(|end| self.start..end))
    }
}

/// Limit on the length of a request line.
pub(super) const fn max_request_line(limits: &Limits) -> usize {
    limits.method + limits.target + " ".len() * 2 + "HTTP/1.1\r\n".len()
}

/// End of the first empty line. Up to there, each LF follows a CR and no line starts with a space.
fn find_end(text: &[u8], from: usize) -> Result<Option<usize>, Reason> {
    let mut at = from;
    loop {
        at = find(text, at, |word| equal(word, b'\n'), |byte| byte == b'\n');
        if at >= text.len() {
            return Ok(None);
        }
        if let Some(end) = end_of_head(text, at)? {
            return Ok(Some(end));
        }
        at += 1;
    }
}

/// End of the head, if the LF at `feed` ends the line before an empty one.
#[inline]
fn end_of_head(text: &[u8], feed: usize) -> Result<Option<usize>, Reason> {
    let is_whole = feed > 0 && text[feed - 1] == b'\r';
    match text.get(feed + 1) {
        _ if !is_whole => Err(Reason::InvalidLineEnd),
        Some(b' ' | b'\t') => Err(Reason::InvalidLineEnd),
        Some(b'\r') if text.get(feed + 2) == Some(&b'\n') => Ok(Some(feed + 3)),
        _ => Ok(None),
    }
}

/// Refuses a line or head that is too long, or will be once it is complete.
fn check_size(head: &[u8], is_whole: bool, rules: Rules) -> Result<(), Reason> {
    if head.len() >= rules.line && !head[..rules.line].contains(&b'\n') {
        return Err(rules.line_reason);
    }
    if head.len() > rules.head || (head.len() == rules.head && !is_whole) {
        return Err(Reason::HeadTooLarge);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(buffer: &[u8]) -> Result<Option<Range<usize>>, Reason> {
        HeadScan::default()
            .request(buffer, &Limits::default())
            .map_err(|rejection| rejection.reason)
    }

    #[test]
    fn a_head_ends_at_its_empty_line_wherever_it_was_cut() {
        let text = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET";
        let end = text.len() - 3;
        for step in 1..8 {
            let mut scan = HeadScan::default();
            let mut found = None;
            for cut in (0..end).step_by(step).chain([text.len()]) {
                found = scan.request(&text[..cut], &Limits::default()).unwrap();
                assert_eq!(found.is_some(), cut >= end, "cut at {cut}");
            }
            assert_eq!(found, Some(2..end));
        }
    }

    #[test]
    fn odd_lines_are_refused() {
        for text in [
            &b"GET / HTTP/1.1\n\n"[..],
            b"GET / HTTP/1.1\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\n",
            b"\n",
            b"\r\n\r\n",
            b"\nGET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n",
            b" GET / HTTP/1.1\r\n",
            b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(
                request(text),
                Err(Reason::InvalidLineEnd),
                "{}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn bytes_that_start_no_request_are_refused_at_once() {
        for text in [
            &b"\r\0G\r\n\r\n"[..],
            b"\x16\x03\x01",
            b"\0",
            b" ",
            b"\r\n\r",
            b"\r\n ",
            b"\xff",
            b"\rG",
        ] {
            assert!(request(text).is_err(), "{}", text.escape_ascii());
        }
        for text in [&b""[..], b"\r", b"\r\n", b"G", b"\r\nG"] {
            assert_eq!(request(text), Ok(None), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_request_line_that_is_none_is_refused_before_the_head_ends() {
        let mut scan = HeadScan::default();
        let mut refused = None;
        let text = b"\r\nGET /old\r\n";
        for cut in 0..=text.len() {
            assert_eq!(refused, None, "before {cut}");
            refused = scan.request(&text[..cut], &Limits::default()).err();
        }
        assert_eq!(refused.unwrap().reason, Reason::InvalidStartLine);
        assert_eq!(
            request(b"GET / HTTP/3.0\r\nHo"),
            Err(Reason::UnsupportedVersion)
        );
        assert_eq!(request(b"GET / HTTP/1.1\r\nHo"), Ok(None));
    }

    #[test]
    fn heads_and_lines_are_limited_whether_they_end_or_not() {
        let limits = Limits {
            request_head: 100,
            target: 20,
            method: 4,
            ..Limits::default()
        };
        let scan = |text: &str| {
            HeadScan::default()
                .request(text.as_bytes(), &limits)
                .map_err(|r| r.reason)
        };
        let target = |length: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(length));
        assert_eq!(scan(&target(20)), Ok(None));
        assert_eq!(scan(&target(21)), Err(Reason::TargetTooLong));
        let whole = target(21) + "\r\n";
        assert_eq!(scan(&whole), Err(Reason::TargetTooLong));
        assert_eq!(scan(&"G".repeat(36)), Err(Reason::TargetTooLong));
        assert_eq!(scan(&"G".repeat(35)), Ok(None));
        let head = |length: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(length));
        assert_eq!(scan(&head(77)), Ok(Some(0..100)));
        assert_eq!(scan(&head(78)), Err(Reason::HeadTooLarge));
        assert_eq!(scan(&head(200)[..100]), Err(Reason::HeadTooLarge));
    }

    #[test]
    fn a_response_has_no_empty_line_before_it() {
        let limits = Limits::default();
        let rejection = HeadScan::default()
            .response(b"\r\nHTTP/1.1 200 OK\r\n\r\n", &limits)
            .unwrap_err();
        assert_eq!(
            (rejection.status, rejection.reason),
            (502, Reason::InvalidLineEnd)
        );
        assert_eq!(
            HeadScan::default().response(b"HTTP/1.1 200 OK\r\n\r\n", &limits),
            Ok(Some(0..19))
        );
    }
}
