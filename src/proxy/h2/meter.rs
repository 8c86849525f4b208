//! Frame heads as they pass, in both directions, and what each costs the connection's budget. Without I/O, and without
//! looking into a payload, except for the code of a reset, and for heads as far as [`FragmentWatch`] needs them.
//!
//! Requests and their bodies are free: limits on streams and flow control bound them. What costs is what makes us work
//! and brings nothing. `WINDOW_UPDATE` and `PING` are what honest clients answer our data with, so each frame of data that
//! we send pays for two of them; beyond that they cost as well.

use super::budget::{Budget, BudgetLimits, Verdict};
use super::fragment::{Found, FragmentWatch};

const HEAD: usize = 9;
/// Answers to data that a client may be ahead by, for windows that are opened when a connection starts.
const FIRST_CREDIT: u32 = 256;
const MOST_CREDIT: u32 = 4_096;
/// Streams with something odd that nobody has asked about yet; more than a connection may have at once.
const MOST_ODD: usize = 256;

mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PUSH_PROMISE: u8 = 5;
    pub(super) const PING: u8 = 6;
    pub(super) const WINDOW_UPDATE: u8 = 8;
    pub(super) const CONTINUATION: u8 = 9;
}

mod flag {
    pub(super) const END_STREAM: u8 = 1;
    pub(super) const ACK: u8 = 1;
    pub(super) const END_HEADERS: u8 = 4;
    pub(super) const PADDED: u8 = 8;
    pub(super) const PRIORITY: u8 = 0x20;
}

/// Resets of ours that the peer has provoked (RFC 9113, section 7): `PROTOCOL_ERROR`, `FLOW_CONTROL_ERROR`,
/// `STREAM_CLOSED`, `FRAME_SIZE_ERROR`, `REFUSED_STREAM`, `ENHANCE_YOUR_CALM`.
const PROVOKED: [u32; 6] = [1, 3, 5, 6, 7, 11];

/// What both directions of one connection have cost.
#[derive(Debug)]
pub(super) struct Meter {
    budget: Budget,
    inbound: Scanner,
    outbound: Scanner,
    credit: u32,
    block: HeaderBlock,
    block_limit: u32,
    /// The peer's settings have come: they must be its first frame, which the library does not ask for.
    has_begun: bool,
    watch: FragmentWatch,
    fragments: Vec<u32>,
    bad_trailers: Vec<u32>,
    /// The last stream that was opened; a block on another is trailers.
    last: u32,
    verdict: Verdict,
}

/// The header block that is being received.
#[derive(Debug, Default)]
struct HeaderBlock {
    bytes: u32,
    /// What arrived of it, without padding.
    text: Vec<u8>,
    /// The frame whose payload is arriving.
    frame: Option<Frame>,
}

/// Finds frame heads in a stream of bytes that is cut anywhere.
#[derive(Debug, Default)]
struct Scanner {
    // Invariant: `have` < `HEAD` + 4.
    have: u8,
    skip: u32,
    head: [u8; HEAD + 4],
    /// Whether the payload that is skipped is kept, until it is taken.
    keeps: bool,
    payload: Vec<u8>,
}

/// One frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
    /// The code, if it is a reset.
    code: u32,
}

// === impl Meter ===

impl Meter {
    /// A meter for a connection on which the peer sends a preface of `preface` bytes. A header block in transit may have
    /// `header_list` bytes and a quarter; the table of the compression `table` bytes.
    pub(super) fn new(limits: BudgetLimits, preface: u32, [header_list, table]: [u32; 2]) -> Self {
        Self {
            budget: Budget::new(limits),
            inbound: Scanner {
                skip: preface,
                ..Scanner::default()
            },
            outbound: Scanner::default(),
            credit: FIRST_CREDIT,
            block: HeaderBlock::default(),
            block_limit: header_list.saturating_add(header_list / 4),
            has_begun: false,
            watch: FragmentWatch::new(u64::from(table)),
            fragments: Vec::new(),
            bad_trailers: Vec::new(),
            last: 0,
            verdict: Verdict::Calm,
        }
    }

    /// The worst verdict so far.
    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the path of a stream's request had a fragment. Each stream is asked about once.
    pub(super) fn take_fragment(&mut self, stream: u32) -> bool {
        take(&mut self.fragments, stream)
    }

    /// Whether the trailers of a stream's request had pseudo-fields. Each stream is asked about once.
    pub(super) fn take_bad_trailers(&mut self, stream: u32) -> bool {
        take(&mut self.bad_trailers, stream)
    }

    /// Takes note of bytes that were received. `now_ms` is asked only if there is something to be counted.
    pub(super) fn received(&mut self, mut bytes: &[u8], now_ms: impl Fn() -> u64) {
        loop {
            let next = self.inbound.next(&mut bytes);
            // A next head, or nothing left to skip: the payload before it is whole.
            if (next.is_some() || self.inbound.skip == 0)
                && let Some(frame) = self.block.frame.take()
            {
                self.read_block(frame);
            }
            let Some(frame) = next else {
                return;
            };
            if !std::mem::replace(&mut self.has_begun, true) && frame.kind != kind::SETTINGS {
                self.verdict = Verdict::Close;
            }
            let cost = self.cost(frame);
            if cost > 0 {
                self.spend(now_ms(), cost);
            }
            if !self.block.fits(frame, self.block_limit) {
                self.verdict = Verdict::Close;
            }
            let is_block = matches!(frame.kind, kind::HEADERS | kind::CONTINUATION);
            self.inbound.keeps = is_block && self.verdict != Verdict::Close;
            self.block.frame = Some(frame).filter(|_| self.inbound.keeps);
        }
    }

    /// Reads the payload of a frame of a header block, and the block once it is whole.
    fn read_block(&mut self, frame: Frame) {
        let payload = std::mem::take(&mut self.inbound.payload);
        let text = text_of(frame, &payload);
        let is_whole = frame.flags & flag::END_HEADERS != 0;
        let found = if is_whole && self.block.text.is_empty() {
            self.watch.read(text)
        } else {
            self.block.text.extend_from_slice(text);
            if !is_whole {
                return;
            }
            self.watch.read(&std::mem::take(&mut self.block.text))
        };
        // The library ends the connection for what is malformed; nothing is let through before it does.
        if !found.is_ok_and(|found| self.note(frame.stream, found)) {
            self.verdict = Verdict::Close;
        }
    }

    /// Notes what a block has that it may not have; false if there is too much of it.
    fn note(&mut self, stream: u32, found: Found) -> bool {
        let is_trailers = stream <= self.last;
        self.last = self.last.max(stream);
        let (is_odd, streams) = if is_trailers {
            (found.pseudo, &mut self.bad_trailers)
        } else {
            (found.fragment, &mut self.fragments)
        };
        if is_odd {
            streams.push(stream);
        }
        streams.len() <= MOST_ODD
    }

    /// Takes note of bytes that were sent.
    pub(super) fn sent(&mut self, mut bytes: &[u8], now_ms: impl Fn() -> u64) {
        while let Some(frame) = self.outbound.next(&mut bytes) {
            match frame.kind {
                kind::DATA => self.credit = (self.credit + 2).min(MOST_CREDIT),
                kind::RST_STREAM if PROVOKED.contains(&frame.code) => self.spend(now_ms(), 1),
                _ => {}
            }
        }
    }

    fn cost(&mut self, frame: Frame) -> u32 {
        match frame.kind {
            kind::DATA => u32::from(frame.length == 0 && frame.flags & flag::END_STREAM == 0),
            kind::HEADERS => 0,
            kind::PING if frame.flags & flag::ACK == 0 => self.charge(),
            kind::WINDOW_UPDATE => self.charge(),
            _ => 1,
        }
    }

    fn charge(&mut self) -> u32 {
        let was = self.credit;
        self.credit = was.saturating_sub(1);
        u32::from(was == 0)
    }

    fn spend(&mut self, now_ms: u64, cost: u32) {
        self.verdict = self.verdict.max(self.budget.spend(now_ms, cost));
    }
}

fn take(streams: &mut Vec<u32>, stream: u32) -> bool {
    let place = streams.iter().position(|other| *other == stream);
    place.map(|place| streams.swap_remove(place)).is_some()
}

/// The part of a header block in a payload: without padding and priority.
fn text_of(frame: Frame, payload: &[u8]) -> &[u8] {
    let is_first = frame.kind == kind::HEADERS;
    let mut text = payload;
    if is_first && frame.flags & flag::PADDED != 0 {
        let padding = usize::from(text.first().copied().unwrap_or_default());
        let end = text.len().saturating_sub(padding).max(1);
        text = text.get(1..end).unwrap_or_default();
    }
    if is_first && frame.flags & flag::PRIORITY != 0 {
        text = text.get(5..).unwrap_or_default();
    }
    text
}

// === impl HeaderBlock ===

impl HeaderBlock {
    fn fits(&mut self, frame: Frame, limit: u32) -> bool {
        match frame.kind {
            kind::HEADERS | kind::PUSH_PROMISE => self.bytes = frame.length,
            kind::CONTINUATION => self.bytes = self.bytes.saturating_add(frame.length),
            _ => return true,
        }
        let fits = self.bytes <= limit;
        if frame.flags & flag::END_HEADERS != 0 {
            self.bytes = 0;
        }
        fits
    }
}

// === impl Scanner ===

impl Scanner {
    /// The next frame whose head ends in `bytes`, which are advanced.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        loop {
            let skipped = bytes.len().min(self.skip as usize);
            if self.keeps {
                self.payload.extend_from_slice(&bytes[..skipped]);
            }
            *bytes = &bytes[skipped..];
            self.skip -= u32::try_from(skipped).expect("no more than `skip`, which is one");
            while usize::from(self.have) < self.wanted() {
                let (byte, rest) = bytes.split_first()?;
                self.head[usize::from(self.have)] = *byte;
                self.have += 1;
                *bytes = rest;
            }
            if self.have > 0 {
                return Some(self.take());
            }
        }
    }

    /// How many bytes are wanted: a head, and the code of a reset.
    fn wanted(&self) -> usize {
        let is_reset = usize::from(self.have) >= HEAD
            && self.head[3] == kind::RST_STREAM
            && self.length() >= 4;
        if is_reset { HEAD + 4 } else { HEAD }
    }

    fn length(&self) -> u32 {
        u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]])
    }

    fn take(&mut self) -> Frame {
        let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| self.head[at + byte]));
        let has_code = usize::from(self.have) > HEAD;
        let frame = Frame {
            length: self.length(),
            kind: self.head[3],
            flags: self.head[4],
            stream: word(5) & 0x7fff_ffff,
            code: if has_code { word(HEAD) } else { 0 },
        };
        self.skip = frame.length - if has_code { 4 } else { 0 };
        self.have = 0;
        self.keeps = false;
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BudgetLimits = BudgetLimits {
        leave: 750,
        close: 1_000,
        window_ms: 10_000,
    };

    fn meter() -> Meter {
        let mut meter = Meter::new(LIMITS, 0, [64 * 1024, 4096]);
        meter.has_begun = true;
        meter
    }

    #[test]
    fn settings_come_first() {
        for (kind, expected) in [(4, Verdict::Calm), (1, Verdict::Close), (6, Verdict::Close)] {
            let mut meter = Meter::new(LIMITS, 0, [64 * 1024, 4096]);
            assert_eq!(
                after(&mut meter, &frame(kind, 4, &[]), 1),
                expected,
                "{kind}"
            );
        }
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        [&head[..], payload].concat()
    }

    fn after(meter: &mut Meter, bytes: &[u8], times: usize) -> Verdict {
        for _ in 0..times {
            meter.received(bytes, || 0);
        }
        meter.verdict()
    }

    #[test]
    fn frames_are_found_wherever_the_bytes_are_cut() {
        let mut bytes = vec![b'P'; 24];
        for frame in [
            frame(4, 0, &[0; 12]),
            frame(1, 5, &[0; 40]),
            frame(3, 0, &[0, 0, 0, 8]),
            frame(0, 0, &[]),
            frame(6, 0, &[0; 8]),
        ] {
            bytes.extend(frame);
        }
        let whole = [(12, 4, 0), (40, 1, 0), (4, 3, 8), (0, 0, 0), (8, 6, 0)];
        for cut in 0..=bytes.len() {
            let mut scanner = Scanner {
                skip: 24,
                ..Scanner::default()
            };
            let mut found = Vec::new();
            for mut part in [&bytes[..cut], &bytes[cut..]] {
                while let Some(frame) = scanner.next(&mut part) {
                    found.push((frame.length, frame.kind, frame.code));
                }
            }
            assert_eq!(found, whole, "cut at {cut}");
        }
    }

    #[test]
    fn floods_are_counted() {
        for (name, flood) in [
            ("reset", frame(3, 0, &[0, 0, 0, 8])),
            ("settings", frame(4, 0, &[])),
            ("settings ack", frame(4, 1, &[])),
            ("empty data", frame(0, 0, &[])),
            ("priority", frame(2, 0, &[0; 5])),
            ("ping ack", frame(6, 1, &[0; 8])),
            ("unknown", frame(99, 0, &[1; 10])),
        ] {
            assert_eq!(after(&mut meter(), &flood, 749), Verdict::Calm, "{name}");
            assert_eq!(after(&mut meter(), &flood, 750), Verdict::Leave, "{name}");
            assert_eq!(after(&mut meter(), &flood, 1_000), Verdict::Close, "{name}");
        }
    }

    #[test]
    fn requests_and_their_bodies_are_free() {
        for frame in [frame(1, 5, &[0; 30]), frame(0, 0, &[1]), frame(0, 1, &[])] {
            assert_eq!(after(&mut meter(), &frame, 10_000), Verdict::Calm);
        }
    }

    #[test]
    fn answers_to_our_data_are_free_and_others_are_not() {
        for flood in [frame(8, 0, &[0, 0, 0, 1]), frame(6, 0, &[0; 8])] {
            let mut meter = meter();
            for _ in 0..10_000 {
                meter.sent(&frame(0, 0, b"token"), || 0);
                meter.received(&[flood.clone(), flood.clone()].concat(), || 0);
            }
            assert_eq!(meter.verdict(), Verdict::Calm);
            assert_eq!(after(&mut meter, &flood, 2_000), Verdict::Close);
        }
    }

    #[test]
    fn resets_of_ours_count_if_the_peer_made_us() {
        for (code, expected) in [
            (0, Verdict::Calm),
            (1, Verdict::Close),
            (2, Verdict::Calm),
            (5, Verdict::Close),
            (7, Verdict::Close),
            (8, Verdict::Calm),
        ] {
            let mut meter = meter();
            for _ in 0..1_000 {
                meter.sent(&frame(3, 0, &[0, 0, 0, code]), || 0);
            }
            assert_eq!(meter.verdict(), expected, "{code}");
        }
    }

    #[test]
    fn a_header_block_is_bounded_in_bytes_and_in_frames() {
        let mut meter = meter();
        meter.received(&frame(1, 0, &[0; 16_000]), || 0);
        for _ in 0..4 {
            meter.received(&frame(9, 0, &[0; 16_000]), || 0);
        }
        assert_eq!(meter.verdict(), Verdict::Calm);
        meter.received(&frame(9, 4, &[0; 16_000]), || 0);
        assert_eq!(meter.verdict(), Verdict::Close);

        let mut empty = self::meter();
        empty.received(&frame(1, 0, &[]), || 0);
        assert_eq!(after(&mut empty, &frame(9, 0, &[]), 1_000), Verdict::Close);
    }
}
