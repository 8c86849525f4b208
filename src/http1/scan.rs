//! Finding the end of a head, a line at a time, and refusing on the way what no head may have.

use std::ops::Range;

use memchr::memchr_iter;

use crate::message::{Limits, Reason, Rejection, is_token_byte};

/// How far the search for the end of a head has come. Four numbers that a connection keeps between two reads; the buffer
/// must start with the same bytes each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadScan {
    start: usize,
    line: usize,
    searched: usize,
}

/// What differs between the two kinds of heads.
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
    /// Looks for the end of a request head in `buffer`: where it starts and ends, or `None` if more is needed.
    ///
    /// # Errors
    ///
    /// A line that does not end in CR LF, a folded line, an empty line too many, a first byte that starts no request, a
    /// request line or a head beyond its limit.
    pub fn request(
        &mut self,
        buffer: &[u8],
        limits: &Limits,
    ) -> Result<Option<Range<usize>>, Rejection> {
        let line = limits.method + limits.target + " ".len() * 2 + "HTTP/1.1\r\n".len();
        let rules = Rules {
            head: limits.request_head,
            line,
            line_reason: Reason::TargetTooLong,
            leading_line: true,
        };
        self.find(buffer, rules).map_err(Rejection::request)
    }

    /// Looks for the end of a response head in `buffer`.
    ///
    /// # Errors
    ///
    /// As [`HeadScan::request`]; the status is always 502.
    pub fn response(
        &mut self,
        buffer: &[u8],
        limits: &Limits,
    ) -> Result<Option<Range<usize>>, Rejection> {
        let head = limits.response_head;
        let rules = Rules {
            head,
            line: head,
            line_reason: Reason::HeadTooLarge,
            leading_line: false,
        };
        self.find(buffer, rules).map_err(Rejection::response)
    }

    fn find(&mut self, buffer: &[u8], rules: Rules) -> Result<Option<Range<usize>>, Reason> {
        let from = self.searched;
        for offset in memchr_iter(b'\n', &buffer[from..]) {
            let feed = from + offset;
            let line = buffer[self.line..feed]
                .strip_suffix(b"\r")
                .ok_or(Reason::InvalidLineEnd)?;
            if line.is_empty() && self.line > self.start {
                return self.found(feed + 1, rules).map(Some);
            }
            self.line_ended(line, feed + 1, rules)?;
        }
        self.searched = buffer.len();
        self.check_unfinished(buffer, rules)?;
        Ok(None)
    }

    fn found(&self, end: usize, rules: Rules) -> Result<Range<usize>, Reason> {
        if end - self.start > rules.head {
            Err(Reason::HeadTooLarge)
        } else {
            Ok(self.start..end)
        }
    }

    fn line_ended(&mut self, line: &[u8], next: usize, rules: Rules) -> Result<(), Reason> {
        match line.first() {
            None if rules.leading_line && self.start == 0 => self.start = next,
            None | Some(b' ' | b'\t') => return Err(Reason::InvalidLineEnd),
            Some(first) if self.line == self.start => {
                if !is_token_byte(*first) {
                    return Err(Reason::InvalidStartLine);
                }
                if next - self.start > rules.line {
                    return Err(rules.line_reason);
                }
            }
            Some(_) => {}
        }
        self.line = next;
        Ok(())
    }

    /// Refuses as early as possible what cannot become a head any more.
    fn check_unfinished(&self, buffer: &[u8], rules: Rules) -> Result<(), Reason> {
        let pending = &buffer[self.start..];
        if pending.len() >= rules.head {
            return Err(if self.line == self.start {
                rules.line_reason
            } else {
                Reason::HeadTooLarge
            });
        }
        if self.line == self.start && pending.len() >= rules.line {
            return Err(rules.line_reason);
        }
        match pending {
            [b'\r'] if rules.leading_line && self.start == 0 => Ok(()),
            [first, ..] if !is_token_byte(*first) => Err(Reason::InvalidStartLine),
            _ => Ok(()),
        }
    }
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
