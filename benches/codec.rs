//! The cost of reading, validating and writing anew one request and one response as clients of agents send them, and of
//! header compression in HTTP/2.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use switchback::http1::{BodyDecoder, FieldSlots, HeadScan, HeadWriter, RequestHead, ResponseHead};
use switchback::http2::hpack::{BlockLimits, Decoder, Encoder, FieldBlock, Name};
use switchback::message::{
    KnownField, Limits, RequestContextForResponse, RequestFraming, normal_path,
};

const REQUEST: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\n\
    Host: agents.example.com\r\n\
    User-Agent: OpenAI/Python 1.99.1\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Connection: keep-alive\r\n\
    Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n\
    X-Stainless-Lang: python\r\n\
    X-Stainless-Read-Timeout: 600\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 2\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    date: Fri, 20 Nov 2026 12:00:00 GMT\r\n\
    server: uvicorn\r\n\
    cache-control: no-store\r\n\
    x-accel-buffering: no\r\n\
    content-type: text/event-stream; charset=utf-8\r\n\
    transfer-encoding: chunked\r\n\r\n";

const FIELDS: [(&str, &str); 10] = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "agents.example.com"),
    (":path", "/v1/chat/completions"),
    ("user-agent", "OpenAI/Python 1.99.1"),
    ("accept", "application/json"),
    (
        "authorization",
        "Bearer sk-0123456789abcdef0123456789abcdef",
    ),
    ("x-stainless-lang", "python"),
    ("x-stainless-read-timeout", "600"),
    ("content-type", "application/json"),
];

/// The same, as literals that are not indexed, names and values compressed.
const COMPRESSED: &str = "\
    0085b9495339e484d7ab76ff0085b8824e5a4b849d29ad1f0088b83b5339ec327d7f8d1cc5a9285cbe474d7415721e9f0084\
    b958d33f8e63b85824e34b043d35d05498f5230087b505b161cc5a938fd5596a87231afd2673d4a0577df5c3008419085ad3\
    8b1d75d0620d263d4c7441ea00891da99cf61bd8d263d59eba51d85b144755801132d36e3af3e38c921650044cb4db8ebcf8\
    e3248597008cf2b2123355415085a81d537f85afd2673d5f0091f2b2123355415085ac28e45926a4a7b53f827000008921ea\
    496a4ac9f5597f8b1d75d0620d263d4c7441ea";

#[inline(never)]
fn forward_request(received: &[u8], limits: &Limits, sent: &mut Vec<u8>) {
    let range = HeadScan::default()
        .request(received, limits)
        .expect("valid")
        .expect("whole");
    let mut slots = FieldSlots::new();
    let head = RequestHead::parse(&received[range], limits, &mut slots).expect("valid");
    let facts = head.validate(limits).expect("valid");
    black_box(normal_path(facts.target.path).expect("valid"));
    let mut writer = HeadWriter::request(
        sent,
        head.line().method,
        facts.target.path,
        facts.target.query,
    );
    writer.add("host", facts.authority.expect("a host").as_str());
    for field in head.fields() {
        if field.known != KnownField::Host
            && !field.known.is_framing()
            && !facts.nominated.is_hop_by_hop(&field)
        {
            writer.field(&field);
        }
    }
    writer
        .add("x-forwarded-for", "192.0.2.1")
        .add("x-forwarded-proto", "http")
        .add("via", "1.1 switchback");
    writer.finish(facts.framing).expect("valid");
}

#[inline(never)]
fn forward_response(received: &[u8], limits: &Limits, sent: &mut Vec<u8>) {
    let range = HeadScan::default()
        .response(received, limits)
        .expect("valid")
        .expect("whole");
    let mut slots = FieldSlots::new();
    let head = ResponseHead::parse(&received[range], limits, &mut slots).expect("valid");
    let facts = head
        .validate(RequestContextForResponse::default(), limits)
        .expect("valid");
    let mut writer = HeadWriter::response(sent, facts.status, head.reason());
    for field in head.fields() {
        if !field.known.is_framing() && !facts.nominated.is_hop_by_hop(&field) {
            writer.field(&field);
        }
    }
    writer.add("via", "1.1 switchback");
    writer.finish(facts.framing).expect("valid");
}

fn decode_token(limits: &Limits) -> usize {
    let mut decoder = BodyDecoder::request(RequestFraming::Chunked, limits);
    decoder
        .decode(b"1f\r\ndata: {\"delta\":\"the next token\"}\r\n")
        .expect("valid")
        .consumed
}

/// The fields as literals that are put into the table, and then by their indices.
fn indexed() -> [Vec<u8>; 2] {
    let mut literals = Vec::new();
    for (name, value) in FIELDS {
        literals.push(0x40);
        for text in [name, value] {
            literals.push(u8::try_from(text.len()).expect("short texts"));
            literals.extend_from_slice(text.as_bytes());
        }
    }
    let indices = (0..FIELDS.len()).map(|place| 0x80 | u8::try_from(71 - place).expect("small"));
    [literals, indices.collect()]
}

fn compressed() -> Vec<u8> {
    let digit =
        |byte: u8| u8::try_from(char::from(byte).to_digit(16).expect("hex")).expect("small");
    let pairs = COMPRESSED.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

#[inline(never)]
fn decode_block(decoder: &mut Decoder, block: &[u8], into: &mut FieldBlock) -> usize {
    let limits = BlockLimits {
        list: 64 << 10,
        fields: 100,
    };
    decoder.decode(block, limits, into).expect("valid");
    into.iter().map(|field| field.value.len()).sum()
}

#[inline(never)]
fn encode_block(fields: &FieldBlock, out: &mut Vec<u8>) {
    let mut encoder = Encoder::new(out);
    for field in fields {
        match field.name {
            Name::Method => encoder.method(field.value),
            Name::Scheme => encoder.scheme(field.value),
            Name::Authority => encoder.authority(field.value),
            Name::Path => encoder.path(field.value),
            Name::Field(known) => encoder.field(known, field.text, field.value, false),
            _ => false,
        };
    }
}

fn hpack(criterion: &mut Criterion) {
    let mut into = FieldBlock::new();
    let mut decoder = Decoder::new(4096);
    let [literals, indices] = indexed();
    decode_block(&mut decoder, &literals, &mut into);
    criterion.bench_function("hpack/decode_10_fields_indexed", |bencher| {
        bencher.iter(|| decode_block(&mut decoder, black_box(&indices), &mut into));
    });
    let compressed = compressed();
    criterion.bench_function("hpack/decode_10_fields_literal_huffman", |bencher| {
        bencher.iter(|| decode_block(&mut decoder, black_box(&compressed), &mut into));
    });
    assert!(
        into.iter()
            .map(|field| (field.text, field.value))
            .eq(FIELDS.map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    );
    let mut sent = Vec::with_capacity(4096);
    criterion.bench_function("hpack/encode_10_fields", |bencher| {
        bencher.iter(|| {
            sent.clear();
            encode_block(black_box(&into), &mut sent);
            sent.len()
        });
    });
}

fn codec(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut sent = Vec::with_capacity(4096);
    criterion.bench_function("codec/request_10_fields", |bencher| {
        bencher.iter(|| {
            sent.clear();
            forward_request(black_box(REQUEST), &limits, &mut sent);
            sent.len()
        });
    });
    criterion.bench_function("codec/response_6_fields", |bencher| {
        bencher.iter(|| {
            sent.clear();
            forward_response(black_box(RESPONSE), &limits, &mut sent);
            sent.len()
        });
    });
    criterion.bench_function("codec/decode_token", |bencher| {
        bencher.iter(|| decode_token(&limits));
    });
}

criterion_group!(benches, codec, hpack);
criterion_main!(benches);
