//! What it costs to read, judge and write anew one request and one response as clients of agents send them.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use switchback::http1::{BodyDecoder, FieldSlots, HeadScan, HeadWriter, RequestHead, ResponseHead};
use switchback::message::{Asked, Known, Limits, RequestFraming, normal_path};

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

#[inline(never)]
fn forward_request(received: &[u8], limits: &Limits, sent: &mut Vec<u8>) {
    let range = HeadScan::default()
        .request(received, limits)
        .expect("valid")
        .expect("whole");
    let mut slots = FieldSlots::new();
    let head = RequestHead::parse(&received[range], limits, &mut slots).expect("valid");
    let facts = head.judge(limits).expect("valid");
    black_box(normal_path(facts.target.path).expect("valid"));
    let mut writer = HeadWriter::request(
        sent,
        head.line().method,
        facts.target.path,
        facts.target.query,
    );
    writer.add("host", facts.authority.expect("a host").as_str());
    for field in head.fields() {
        if field.known != Known::Host && !field.known.is_framing() && !facts.nominated.ends(&field)
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
    let facts = head.judge(Asked::default(), limits).expect("valid");
    let mut writer = HeadWriter::response(sent, facts.status, head.reason());
    for field in head.fields() {
        if !field.known.is_framing() && !facts.nominated.ends(&field) {
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

criterion_group!(benches, codec);
criterion_main!(benches);
