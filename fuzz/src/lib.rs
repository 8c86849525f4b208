//! The modules that read what strangers send, compiled alone and with coverage counters for libFuzzer.
//!
//! They are included by path rather than through the package: none of them does I/O, so an instrumented build takes
//! seconds, without the runtime, TLS and the store. What the fuzz targets share is here as well.

#[path = "../../src/backup/mod.rs"]
pub mod backup;
#[path = "../../src/config/mod.rs"]
pub mod config;
/// The part of the client of etcd that reads.
#[path = "../../src/etcd"]
pub mod etcd {
    pub mod wire;
}
#[path = "../../src/fleet/mod.rs"]
pub mod fleet;
#[path = "../../src/http1/mod.rs"]
pub mod http1;
#[path = "../../src/http2/mod.rs"]
pub mod http2;
#[path = "../../src/message/mod.rs"]
pub mod message;
#[path = "../../src/model/mod.rs"]
pub mod model;
#[path = "../../src/seal/mod.rs"]
pub mod seal;
#[path = "../../src/stats/mod.rs"]
pub mod stats;
#[path = "../../src/table/mod.rs"]
pub mod table;

/// The readers of `acme`; the rest of it orders.
#[path = "../../src/acme"]
pub mod acme {
    mod der;
    mod leaf;
    #[expect(dead_code, reason = "only its lifetime is read here")]
    mod renewal;

    /// Facts of a certificate.
    #[derive(Debug, PartialEq, Eq)]
    pub struct Facts {
        /// Begin and end.
        pub lifetime: [u64; 2],
        /// Key of the authority and serial.
        pub id: Option<[String; 2]>,
    }

    /// Reads a certificate.
    #[must_use]
    pub fn facts(certificate: &[u8]) -> Option<Facts> {
        let facts = leaf::LeafFacts::of(certificate)?;
        Some(Facts {
            lifetime: [facts.lifetime.not_before, facts.lifetime.not_after],
            id: facts.id.map(|id| [id.authority_key, id.serial]),
        })
    }
}

/// The readers of what the API server of a cluster sends; the rest of it asks.
#[path = "../../src/discovery/kubernetes"]
pub mod kubernetes {
    #[expect(dead_code, reason = "only some errors are of readers")]
    mod error;
    mod slice;
    mod watch_event;

    /// The lines of a text that comes in pieces of `step` bytes; `None` if one of them is longer than may be.
    #[must_use]
    pub fn lines(text: &[u8], step: usize, longest: usize) -> Option<Vec<Vec<u8>>> {
        let (mut lines, mut found) = (crate::net::Lines::up_to(longest), Vec::new());
        for piece in text.chunks(step.max(1)) {
            lines.add(piece).ok()?;
            found.extend(std::iter::from_fn(|| lines.take()));
        }
        Some(found)
    }

    /// The reason in the body of a refusal.
    #[must_use]
    pub fn message_of(body: &[u8]) -> String {
        watch_event::message_of(body)
    }

    /// Reads an event, and says what it is.
    ///
    /// # Errors
    /// The text of the error.
    pub fn event(line: &[u8]) -> Result<String, String> {
        let event = watch_event::WatchEvent::read(line);
        event
            .map(|event| format!("{event:?}"))
            .map_err(|error| error.to_string())
    }
}

/// The files of `net` that parse; one reads from a socket in a function that no target calls.
#[path = "../../src/net"]
pub mod net {
    mod lines;
    pub mod proxy_header;

    /// Errors of connections, of which there are none here.
    #[derive(Debug, thiserror::Error)]
    #[error("no connection")]
    pub struct HttpError;

    /// See [`HttpError`].
    #[derive(Debug, thiserror::Error)]
    #[error("no connection")]
    pub struct NetError;

    pub use lines::{Lines, LongLine};

    mod tcp {
        pub(super) fn read_tcp(_: &tokio::net::TcpStream, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::Unsupported.into())
        }
    }
}

use std::ops::Range;

use http1::{BodyDecoder, HeadScan};
use message::{Limits, Reason, Rejection};

/// Limits that small inputs reach.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        request_head: 2048,
        response_head: 2048,
        fields: 20,
        target: 512,
        trailers: 128,
        chunk_extensions: 64,
        ..Limits::default()
    }
}

/// Which of the two kinds of heads a scan looks for.
pub type Scan = fn(&mut HeadScan, &[u8], &Limits) -> Result<Option<Range<usize>>, Rejection>;

/// Scans `data` whole and in fragments of `step` bytes, which must find the same head. A head that is refused may be
/// refused earlier, and for an earlier mistake, the more the scan sees at a time.
///
/// # Panics
/// If they do not agree.
pub fn scan(data: &[u8], step: usize, scan: Scan) -> Option<Range<usize>> {
    let whole = scan(&mut HeadScan::default(), data, &limits());
    let mut pieces = HeadScan::default();
    let mut found = Ok(None);
    for end in (0..data.len()).step_by(step.max(1)).chain([data.len()]) {
        found = scan(&mut pieces, &data[..end], &limits());
        if found != Ok(None) {
            break;
        }
    }
    match (&whole, &found) {
        (Err(_), Err(_)) => {}
        // A malformed request line is refused before its head is complete; in a complete head the reader refuses it.
        (Ok(Some(range)), Err(early)) if early.status != 502 => {
            let mut slots = http1::FieldSlots::new();
            let parsed = http1::RequestHead::parse(&data[range.clone()], &limits(), &mut slots);
            assert!(parsed.is_err(), "refused early and not late");
            return None;
        }
        // Bytes beyond a head are not looked at; a limit can be reached before the end of a fragment.
        _ => assert_eq!(whole, found),
    }
    let range = whole.ok()??;
    assert!(data[..range.end].ends_with(b"\r\n\r\n") && matches!(range.start, 0 | 2));
    assert!(range.len() <= limits().request_head);
    check_lines(&data[range.clone()]);
    Some(range)
}

/// A head has no bare line feed, no folded line and no empty line but the last.
fn check_lines(head: &[u8]) {
    let lines: Vec<_> = head.split_inclusive(|&byte| byte == b'\n').collect();
    let (last, others) = lines.split_last().expect("a head has lines");
    assert_eq!(*last, b"\r\n");
    for line in others {
        assert!(line.ends_with(b"\r\n") && line.len() > 2 && !matches!(line[0], b' ' | b'\t'));
    }
}

/// Decodes `input` in fragments of `step` bytes: the data, and how many bytes were consumed if the body ended.
///
/// # Errors
/// Those of the decoder.
///
/// # Panics
/// If the decoder breaks its word.
pub fn decode(
    decoder: &mut BodyDecoder,
    input: &[u8],
    step: usize,
) -> Result<(Vec<u8>, Option<usize>), Reason> {
    let (mut body, mut at, mut seen) = (Vec::new(), 0, 0);
    while seen < input.len() {
        seen = (seen + step.max(1)).min(input.len());
        loop {
            let decoded = decoder.decode(&input[at..seen])?;
            assert!(decoded.consumed <= seen - at && decoded.data.end <= decoded.consumed);
            assert!(decoded.data.is_empty() || decoded.data.end == decoded.consumed);
            assert_eq!(decoded.end, decoder.is_done());
            body.extend_from_slice(&input[at..seen][decoded.data]);
            at += decoded.consumed;
            if decoded.end {
                return Ok((body, Some(at)));
            }
            if decoded.consumed == 0 {
                break;
            }
        }
        assert_eq!(
            at, seen,
            "a decoder that is not at its end takes everything"
        );
    }
    Ok((body, None))
}
