//! The frames that a client of HTTP/2 got from a server, sorted by stream.

use std::collections::BTreeMap;

use super::{
    frame::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, RST_STREAM,
        RawFrame, WITH_PRIORITY,
    },
    hpack::Decoder,
};

/// The frames of a connection.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) streams: BTreeMap<u32, Stream>,
    /// The code of a GOAWAY.
    pub(crate) goaway: Option<u32>,
    /// Type and flags of every frame.
    pub(crate) kinds: Vec<(u8, u8)>,
    /// Errors of the server.
    pub(crate) mistakes: Vec<String>,
}

/// The frames of a stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// Head after head: interim ones, the final one, trailers.
    pub(crate) heads: Vec<Vec<(String, String)>>,
    pub(crate) body: Vec<u8>,
    pub(crate) ended: bool,
    /// The code of a reset.
    pub(crate) reset: Option<u32>,
}

#[derive(Default)]
struct Reader {
    view: View,
    decoder: Decoder,
    block: Vec<u8>,
    ends: bool,
}

// === impl View ===

impl View {
    /// Reads the frames so far; an incomplete one does not count.
    pub(crate) fn of(mut bytes: &[u8]) -> Self {
        let mut reader = Reader::default();
        while let Some((frame, rest)) = RawFrame::split(bytes) {
            reader.frame(frame.kind, frame.flags, frame.stream, &frame.payload);
            bytes = rest;
        }
        reader.view
    }

    /// True if nothing more will come on the stream.
    pub(crate) fn is_over(&self, stream: u32) -> bool {
        self.streams
            .get(&stream)
            .is_some_and(|stream| stream.ended || stream.reset.is_some())
    }
}

// === impl Reader ===

impl Reader {
    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.view.kinds.push((kind, flags));
        let code = |at: usize| {
            payload
                .get(at..at + 4)
                .map(|four| u32::from_be_bytes(four.try_into().unwrap()))
        };
        match kind {
            DATA => {
                let own = self.view.streams.entry(stream).or_default();
                own.body.extend_from_slice(unpadded(flags, payload));
                own.ended |= flags & END_STREAM != 0;
            }
            HEADERS => {
                let priority = if flags & WITH_PRIORITY != 0 { 5 } else { 0 };
                self.block = unpadded(flags, payload)[priority..].to_vec();
                self.ends = flags & END_STREAM != 0;
                self.end_block(flags, stream);
            }
            CONTINUATION => {
                self.block.extend_from_slice(payload);
                self.end_block(flags, stream);
            }
            RST_STREAM => self.view.streams.entry(stream).or_default().reset = code(0),
            GOAWAY => self.view.goaway = code(4),
            _ => {}
        }
    }

    fn end_block(&mut self, flags: u8, stream: u32) {
        if flags & END_HEADERS == 0 {
            return;
        }
        let Some(fields) = self.decoder.decode(&self.block) else {
            self.view
                .mistakes
                .push(format!("a block that nobody can read on stream {stream}"));
            return;
        };
        for (name, _) in &fields {
            let ends_at_a_hop = [
                "connection",
                "keep-alive",
                "proxy-connection",
                "transfer-encoding",
                "upgrade",
            ];
            if ends_at_a_hop.contains(&name.as_str())
                || name.bytes().any(|byte| byte.is_ascii_uppercase())
            {
                self.view
                    .mistakes
                    .push(format!("a field `{name}` on stream {stream}"));
            }
        }
        let own = self.view.streams.entry(stream).or_default();
        own.heads.push(fields);
        own.ended |= self.ends;
    }
}

fn unpadded(flags: u8, payload: &[u8]) -> &[u8] {
    if flags & PADDED == 0 {
        return payload;
    }
    let padding = usize::from(payload[0]);
    &payload[1..payload.len() - padding]
}

// === impl Stream ===

impl Stream {
    /// The status of each head that has one.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        let of = |head: &Vec<(String, String)>| match head.first() {
            Some((name, value)) if name == ":status" => value.parse().ok(),
            _ => None,
        };
        self.heads.iter().filter_map(of).collect()
    }

    /// The final head.
    pub(crate) fn head(&self) -> Option<&Vec<(String, String)>> {
        let is_final = |(_, status): &(usize, u16)| *status >= 200;
        let at = self.statuses().into_iter().enumerate().find(is_final)?.0;
        self.heads.get(at)
    }

    /// The trailers.
    pub(crate) fn trailers(&self) -> &[(String, String)] {
        match self.heads.last() {
            Some(last) if last.first().is_none_or(|(name, _)| name != ":status") => last,
            _ => &[],
        }
    }
}

/// True if settings of the server, or its acknowledgement of ours, are among the frames.
pub(crate) fn has(view: &View, kind: u8, acknowledges: bool) -> bool {
    view.kinds
        .iter()
        .any(|(own, flags)| *own == kind && (flags & ACK != 0) == acknowledges)
}
