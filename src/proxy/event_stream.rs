//! Server-sent events that pass: their data, the boundary between two, and the last one that we add when we end a stream.

use std::cell::Cell;

/// The last bytes of an event stream that were sent.
pub(super) struct EventBoundary {
    last: Cell<Option<[u8; 3]>>,
    /// The last frame ends with an event that says that none follows.
    is_final: Cell<bool>,
}

// === impl EventBoundary ===

impl EventBoundary {
    /// The boundary before the first byte.
    pub(super) fn new() -> Self {
        Self {
            last: Cell::new(Some(*b"\n\n\n")),
            is_final: Cell::new(false),
        }
    }

    /// A frame is about to be sent; until it was, there is no boundary.
    pub(super) fn begin(&self, data: &[u8]) -> Option<[u8; 3]> {
        let last = self.last.take()?;
        self.is_final.set(is_final(data));
        let recent = last.iter().chain(data).rev().take(3);
        let mut now = [0; 3];
        for (place, byte) in now.iter_mut().rev().zip(recent) {
            *place = *byte;
        }
        Some(now)
    }

    /// That frame was sent.
    pub(super) fn sent(&self, last: Option<[u8; 3]>) {
        self.last.set(last);
    }

    /// True if the last event is whole: the last line that was sent is empty. A line ends with CR, LF or both.
    pub(super) fn is_between(&self) -> bool {
        let is_end = |byte: u8| byte == b'\n' || byte == b'\r';
        match self.last.get() {
            None => false,
            Some([before, b'\r', b'\n']) => is_end(before),
            Some([_, before, last]) => is_end(before) && is_end(last),
        }
    }

    /// True if the client has the event that says that none follows. Many leave then, before the end of the body.
    pub(super) fn is_delivered(&self) -> bool {
        self.is_final.get() && self.is_between()
    }
}

/// True if the bytes end with the last event of a stream: `data: [DONE]` of the `OpenAI` API, `message_stop` of the
/// Anthropic API.
fn is_final(data: &[u8]) -> bool {
    let is_padding = |byte: &u8| matches!(byte, b'\r' | b'\n' | b' ' | b'}');
    let padding = data
        .iter()
        .rev()
        .take_while(|byte| is_padding(byte))
        .count();
    let data = &data[..data.len() - padding];
    data.ends_with(b"[DONE]") || data.ends_with(b"\"message_stop\"")
}

/// The last event of a stream that we end: when to come back, and an error. It is one block, since a block without data
/// breaks some clients.
pub(super) fn last_event(fields: &str, retry_ms: u64) -> String {
    format!("retry: {retry_ms}\n{fields}\n\n")
}

/// The first complete event, and what follows it.
pub(super) fn next_event(text: &[u8]) -> Option<(&[u8], &[u8])> {
    const ENDS: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];
    let ends = ENDS.iter().filter_map(|end| {
        let at = memchr::memmem::find(text, end)?;
        Some((at, at + end.len()))
    });
    let (end, after) = ends.min()?;
    Some((&text[..end], &text[after..]))
}

/// The data of each complete event.
pub(super) fn events(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = text;
    let next = std::iter::from_fn(move || {
        let (event, after) = next_event(rest)?;
        rest = after;
        Some(event)
    });
    next.filter_map(data_of)
}

/// The data of an event, its lines joined; `None` if it has none.
pub(super) fn data_of(event: &[u8]) -> Option<Vec<u8>> {
    let lines = event.split(|&byte| byte == b'\n' || byte == b'\r');
    let data = lines.filter_map(|line| {
        let value = line.strip_prefix(b"data:")?;
        Some(value.strip_prefix(b" ").unwrap_or(value))
    });
    let data: Vec<&[u8]> = data.collect();
    (!data.is_empty()).then(|| data.join(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_between(frames: &[&str]) -> bool {
        let boundary = EventBoundary::new();
        for frame in frames {
            let last = boundary.begin(frame.as_bytes());
            assert!(!boundary.is_between(), "while it is being sent");
            boundary.sent(last);
        }
        boundary.is_between()
    }

    #[test]
    fn an_event_ends_with_an_empty_line_however_it_is_cut() {
        for whole in [
            "data: 1\n\n",
            "data: 1\r\n\r\n",
            "data: 1\r\r",
            "data: 1\n\r\n",
            ": ping\n\n",
        ] {
            assert!(is_between(&[whole]), "{whole:?}");
            for cut in 1..whole.len() {
                let (first, second) = whole.split_at(cut);
                let is_early = whole.ends_with("\r\n") && cut == whole.len() - 1;
                assert_eq!(is_between(&[first]), is_early, "{first:?}");
                assert!(is_between(&[first, second]), "{first:?} {second:?}");
            }
        }
        assert!(is_between(&[]) && is_between(&[""]));
        for open in ["data: 1", "data: 1\n", "data: 1\r\n", "data: 1\n\ndata"] {
            assert!(!is_between(&[open]), "{open:?}");
        }
    }

    #[test]
    fn the_event_that_ends_a_stream_of_a_model_is_known() {
        for (frame, is) in [
            ("data: [DONE]\n\n", true),
            ("data: {}\n\ndata: [DONE]\r\n\r\n", true),
            (
                "event: message_stop\ndata: {\"type\": \"message_stop\"   }\n\n",
                true,
            ),
            ("data: {\"text\": \"[DONE]\"}\n\n", false),
            ("data: {}\n\n", false),
            ("", false),
        ] {
            let boundary = EventBoundary::new();
            let last = boundary.begin(frame.as_bytes());
            assert!(!boundary.is_delivered(), "{frame:?} is being sent");
            boundary.sent(last);
            assert_eq!(boundary.is_delivered(), is, "{frame:?}");
        }
    }

    #[test]
    fn events_are_taken_apart_whatever_ends_their_lines() {
        for end in ["\n", "\r\n", "\r"] {
            let text = format!("id: 1{end}data: a{end}data:b{end}{end}: ping{end}{end}data: c");
            let (first, rest) = next_event(text.as_bytes()).unwrap();
            assert_eq!(data_of(first).unwrap(), b"a\nb");
            let (second, rest) = next_event(rest).unwrap();
            assert_eq!(data_of(second), None);
            assert_eq!(next_event(rest), None);
        }
    }
}
