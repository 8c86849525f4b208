//! The reading of switchback's codec, driven as the proxy drives it, and the bytes that it would forward.

use switchback::http1::{
    BodyDecoder, BodyEncoder, FieldSlots, HeadScan, HeadWriter, RequestHead, ResponseHead, Trailers,
};
use switchback::message::{
    ConnectionOptions, Field, KnownField, Limits, Reason, Rejection, RequestContextForResponse,
    Version,
};

use crate::message::{Message, Reading, pair, text};

/// A reading, the bytes that would be forwarded, and the messages that every reader must find in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) reading: Reading,
    pub(crate) sent: Vec<u8>,
    pub(crate) forwarded: Vec<Message>,
}

/// Bytes that arrive in parts.
struct Source<'b> {
    bytes: &'b [u8],
    pieces: &'b [usize],
    seen: usize,
    at: usize,
}

/// The reason why a reading ends.
enum End {
    Close,
    More,
    Reject(Rejection),
}

impl From<Rejection> for End {
    fn from(rejection: Rejection) -> Self {
        Self::Reject(rejection)
    }
}

impl From<Reason> for End {
    fn from(reason: Reason) -> Self {
        Self::Reject(reason.into())
    }
}

impl Source<'_> {
    fn buffer(&self) -> &[u8] {
        &self.bytes[self.at..self.seen]
    }

    fn read_more(&mut self) -> Result<(), End> {
        let Some((next, rest)) = self.pieces.split_first() else {
            return Err(End::More);
        };
        (self.seen, self.pieces) = (*next, rest);
        Ok(())
    }
}

/// The verdict on a connection's requests.
pub(crate) fn request(bytes: &[u8]) -> Verdict {
    request_in(bytes, &[bytes.len()])
}

fn request_in(bytes: &[u8], pieces: &[usize]) -> Verdict {
    read(bytes, pieces, |source, verdict| {
        one_request(source, &Limits::default(), verdict)
    })
}

/// The verdict on the response to one request.
pub(crate) fn response(bytes: &[u8], asked: &str) -> Verdict {
    response_in(bytes, asked, &[bytes.len()])
}

fn response_in(bytes: &[u8], asked: &str, pieces: &[usize]) -> Verdict {
    let asked = RequestContextForResponse {
        head: asked == "HEAD",
        websocket: false,
        upgrade: false,
    };
    read(bytes, pieces, |source, verdict| {
        one_response(source, asked, &Limits::default(), verdict)
    })
}

fn read(
    bytes: &[u8],
    pieces: &[usize],
    one: impl Fn(&mut Source<'_>, &mut Verdict) -> Result<(), End>,
) -> Verdict {
    let mut source = Source {
        bytes,
        pieces,
        seen: 0,
        at: 0,
    };
    let mut verdict = Verdict::default();
    let mut boundary = 0;
    let end = loop {
        boundary = source.at.max(boundary);
        if let Err(end) = one(&mut source, &mut verdict) {
            break end;
        }
    };
    let reading = &mut verdict.reading;
    reading.outcome = match end {
        End::Close => "close",
        End::More if boundary == bytes.len() => "done",
        End::More => "more",
        End::Reject(rejection) => {
            reading.reason = rejection.reason.to_string();
            "reject"
        }
    };
    verdict
}

/// True if every way to cut the bytes leads to the same verdict: in two at each offset, and in parts of one size.
///
/// The reason of a refusal may differ, if a later error is seen before an earlier one.
pub(crate) fn cuts_agree(bytes: &[u8], is_request: bool, asked: &str, whole: &Verdict) -> bool {
    let read = |pieces: &[usize]| {
        if is_request {
            request_in(bytes, pieces)
        } else {
            response_in(bytes, asked, pieces)
        }
    };
    let agrees = |pieces: &[usize]| {
        let mut cut = read(pieces);
        cut.reading.reason.clone_from(&whole.reading.reason);
        cut == *whole
    };
    let length = bytes.len();
    let sizes = (1..5).all(|size| {
        agrees(
            &(0..length)
                .step_by(size)
                .chain([length])
                .collect::<Vec<_>>(),
        )
    });
    sizes && (0..length.min(600)).all(|cut| agrees(&[cut, length]))
}

fn one_request(source: &mut Source<'_>, limits: &Limits, verdict: &mut Verdict) -> Result<(), End> {
    let mut scan = HeadScan::default();
    let range = loop {
        match scan.request(source.buffer(), limits)? {
            Some(range) => break range,
            None => source.read_more()?,
        }
    };
    let end = source.at + range.end;
    let head = &source.bytes[source.at + range.start..end];
    let mut slots = FieldSlots::new();
    let head = RequestHead::parse(head, limits, &mut slots)?;
    let facts = head.validate(limits)?;

    let mut sent = Vec::new();
    let target = facts.target;
    let mut writer = HeadWriter::request(&mut sent, head.line().method, target.path, target.query);
    let host = facts
        .authority
        .map_or("none.example", |authority| authority.as_str());
    writer.add("host", host);
    let mut forwarded = vec![pair(b"host", host.as_bytes())];
    forward(
        &mut writer,
        head.fields()
            .filter(|field| field.known != KnownField::Host),
        &facts.nominated,
        &mut forwarded,
    );
    let encoder = writer
        .finish(facts.framing)
        .expect("what was read can be written");

    source.at = end;
    let decoder = BodyDecoder::request(facts.framing, limits);
    let (body, trailers) = relay(source, decoder, encoder, &mut sent)?;
    let message = Message {
        start: text(head.line().method),
        target: text(head.line().target),
        fields: head
            .fields()
            .map(|field| pair(field.name, field.value))
            .collect(),
        body,
        trailers: trailers.0,
    };
    let query = target
        .query
        .map_or(String::new(), |query| format!("?{}", text(query)));
    verdict.forwarded.push(Message {
        target: text(target.path) + &query,
        fields: forwarded,
        trailers: trailers.1,
        ..message.clone()
    });
    verdict.reading.messages.push(message);
    verdict.sent.extend(sent);
    if facts.websocket || !facts.keep_alive {
        Err(End::Close)
    } else {
        Ok(())
    }
}

fn one_response(
    source: &mut Source<'_>,
    asked: RequestContextForResponse,
    limits: &Limits,
    verdict: &mut Verdict,
) -> Result<(), End> {
    let mut scan = HeadScan::default();
    let range = loop {
        match scan.response(source.buffer(), limits)? {
            Some(range) => break range,
            None => source.read_more()?,
        }
    };
    let end = source.at + range.end;
    let head = &source.bytes[source.at + range.start..end];
    let mut slots = FieldSlots::new();
    let head = ResponseHead::parse(head, limits, &mut slots)?;
    let facts = head.validate(asked, limits)?;

    let mut sent = Vec::new();
    let mut writer = HeadWriter::response(&mut sent, facts.status, head.reason());
    let mut forwarded = Vec::new();
    forward(&mut writer, head.fields(), &facts.nominated, &mut forwarded);
    let encoder = writer
        .finish(facts.framing.toward(Version::Http11))
        .expect("what was read can be written");

    source.at = end;
    let decoder = BodyDecoder::response(facts.framing, limits);
    let (body, trailers) = relay(source, decoder, encoder, &mut sent)?;
    let message = Message {
        start: facts.status.to_string(),
        target: String::new(),
        fields: head
            .fields()
            .map(|field| pair(field.name, field.value))
            .collect(),
        body,
        trailers: trailers.0,
    };
    verdict.forwarded.push(Message {
        fields: forwarded,
        trailers: trailers.1,
        ..message.clone()
    });
    verdict.reading.messages.push(message);
    verdict.sent.extend(sent);
    if facts.is_informational() {
        Ok(())
    } else {
        Err(End::Close)
    }
}

fn forward<'h>(
    writer: &mut HeadWriter<'_>,
    fields: impl Iterator<Item = Field<'h>>,
    nominated: &ConnectionOptions<'_>,
    forwarded: &mut Vec<(String, String)>,
) {
    for field in fields.filter(|field| !field.known.is_framing() && !nominated.is_hop_by_hop(field))
    {
        writer.field(&field);
        forwarded.push(pair(field.name, field.value));
    }
}

/// The trailers that were read, and those that are forwarded.
type BothTrailers = (Vec<(String, String)>, Vec<(String, String)>);

/// Reads a whole body and encodes it again.
fn relay(
    source: &mut Source<'_>,
    mut decoder: BodyDecoder,
    mut encoder: BodyEncoder,
    sent: &mut Vec<u8>,
) -> Result<(String, BothTrailers), End> {
    let mut body = Vec::new();
    while !decoder.is_done() {
        let decoded = decoder.decode(source.buffer())?;
        let data = &source.buffer()[decoded.data];
        body.extend_from_slice(data);
        source.at += decoded.consumed;
        if decoded.consumed == 0 && source.read_more().is_err() {
            if decoder.is_delimited() {
                return Err(End::More);
            }
            break;
        }
    }
    // In two parts, whatever the parts were in which it came, so that every cut sends the same.
    for run in body.chunks(body.len().div_ceil(2).max(1)) {
        let frame = encoder
            .frame(run.len())
            .expect("the encoder has the framing of the decoder");
        sent.extend([frame.before(), run, frame.after()].concat());
    }
    let trailers = decoder.trailers();
    encoder
        .finish(sent, trailers.into_iter().flat_map(Trailers::allowed))
        .expect("the body is whole");
    let read = trailers
        .into_iter()
        .flat_map(Trailers::fields)
        .map(|field| pair(field.name, field.value));
    let passed = trailers
        .into_iter()
        .flat_map(Trailers::allowed)
        .map(|field| pair(field.name, field.value));
    Ok((text(&body), (read.collect(), passed.collect())))
}
