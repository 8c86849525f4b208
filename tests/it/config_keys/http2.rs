//! Probes of the limits of HTTP/2 connections: raw frames on a connection to a proxy.

use std::time::Duration;

use super::time::{silent, soon};
use crate::support::{
    Origin, TestProxy,
    h2::{
        DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, RawFrame,
        RawH2, SETTINGS, WINDOW_UPDATE, frame, header_block, pseudo,
    },
};

const HEADER_TABLE_SIZE: u16 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;

fn before(settings: &str, origin: &Origin) -> TestProxy {
    TestProxy::builder()
        .release("blue", &[origin])
        .route("all", "/", &[("blue", 1)])
        .settings(settings)
        .start()
}

/// The frames until everything that was sent has been processed, or the connection is closed.
fn frames(raw: &mut RawH2) -> Vec<RawFrame> {
    raw.frame(PING, 0, 0, b"in order");
    let mut frames = Vec::new();
    while let Some(frame) = raw.next() {
        if frame.kind == PING && frame.payload == b"in order" {
            break;
        }
        frames.push(frame);
    }
    frames
}

fn of(kind: u8, frames: &[RawFrame]) -> Vec<&RawFrame> {
    frames.iter().filter(|frame| frame.kind == kind).collect()
}

/// The streams that were reset, and the codes of GOAWAY frames.
fn broken(frames: &[RawFrame]) -> String {
    let resets: Vec<_> = of(RST_STREAM, frames)
        .iter()
        .map(|one| one.stream)
        .collect();
    let goaways: Vec<_> = of(GOAWAY, frames)
        .iter()
        .map(|one| one.payload[7])
        .collect();
    format!("resets of {resets:?}, GOAWAYs for {goaways:?}")
}

/// The effect of bytes that are sent at once, when no endpoint responds.
fn sent(settings: &str, bytes: &[u8]) -> String {
    let origin = silent();
    let proxy = before(settings, &origin);
    let mut raw = RawH2::connect(proxy.address);
    raw.bytes(bytes);
    broken(&frames(&mut raw))
}

fn head(stream: u32) -> Vec<u8> {
    let block = header_block(&pseudo("GET", "/"));
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
}

/// Frames that cost time without any use.
fn burden(times: usize) -> Vec<u8> {
    frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]).repeat(times)
}

/// The refused ones of twenty streams.
pub(super) fn streams(settings: &str) -> String {
    let heads: Vec<u8> = (0..20).flat_map(|n| head(2 * n + 1)).collect();
    sent(settings, &heads)
}

/// True if a stream is refused while a reset one is still being closed.
pub(super) fn pending_resets(settings: &str) -> String {
    let origin = silent();
    let proxy = before(&format!("limits.http2.streams = 1\n{settings}"), &origin);
    let mut raw = RawH2::connect(proxy.address);
    raw.bytes(&head(1));
    proxy.wait_until(|| origin.connections() == 1);
    let cancel = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    raw.bytes(&[cancel, head(3)].concat());
    broken(&frames(&mut raw))
}

/// The effect of ten streams that end with a client error.
pub(super) fn local_resets(settings: &str) -> String {
    let mistakes = (0..10).flat_map(|n| {
        let nothing = frame(WINDOW_UPDATE, 0, 2 * n + 1, &[0; 4]);
        [head(2 * n + 1), nothing].concat()
    });
    sent(settings, &mistakes.collect::<Vec<u8>>())
}

pub(super) fn abuse_goaway(settings: &str) -> String {
    sent(settings, &burden(50))
}

pub(super) fn abuse_close(settings: &str) -> String {
    abuse_goaway(&format!("limits.http2.abuse_goaway = 10\n{settings}"))
}

/// True if costs add up over a longer time.
pub(super) fn abuse_window(settings: &str) -> String {
    let settings = format!("limits.http2.abuse_goaway = 20\n{settings}");
    let origin = silent();
    let proxy = before(&settings, &origin);
    let mut raw = RawH2::connect(proxy.address);
    let mut seen = Vec::new();
    for _ in 0..3 {
        raw.bytes(&burden(10));
        seen.extend(frames(&mut raw));
        // The elapsed time is the subject of this probe.
        std::thread::sleep(Duration::from_millis(100));
    }
    broken(&seen)
}

/// The announced value of a setting.
fn announced(settings: &str, id: u16) -> String {
    let origin = silent();
    let proxy = before(settings, &origin);
    let mut raw = RawH2::connect(proxy.address);
    let all = raw.until(|frame| frame.kind == SETTINGS && frame.flags == 0);
    let all = all.unwrap().payload;
    let mut each = all.chunks(6);
    let found = each.find(|one| one[..2] == id.to_be_bytes());
    format!("{:?}", found.unwrap())
}

pub(super) fn stream_window(settings: &str) -> String {
    announced(settings, INITIAL_WINDOW_SIZE)
}

/// The initial increase of the connection window.
pub(super) fn connection_window(settings: &str) -> String {
    let origin = silent();
    let proxy = before(settings, &origin);
    let mut raw = RawH2::connect(proxy.address);
    let wider = raw.until(|frame| frame.kind == WINDOW_UPDATE && frame.stream == 0);
    format!("{:?}", wider.unwrap().payload)
}

pub(super) fn long_frame(settings: &str) -> String {
    let block = header_block(&pseudo("POST", "/"));
    let open = frame(HEADERS, END_HEADERS, 1, &block);
    sent(
        settings,
        &[open, frame(DATA, 0, 1, &vec![0; 20_000])].concat(),
    )
}

/// The first bytes of the response to a head.
fn answer(settings: &str, block: &[u8]) -> String {
    let origin = Origin::replying("x");
    let proxy = before(settings, &origin);
    let mut raw = RawH2::connect(proxy.address);
    raw.frame(HEADERS, END_HEADERS | END_STREAM, 1, block);
    let end = raw.until(|frame| matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY));
    let end = end.unwrap();
    // The status comes first, after an optional update of the table size.
    let status = end.payload.strip_prefix(&[0x20]).unwrap_or(&end.payload);
    let status = String::from_utf8_lossy(&status[..status.len().min(5)]);
    format!("{} {status:?}", end.kind)
}

pub(super) fn long_list(settings: &str) -> String {
    let value = "y".repeat(2_000);
    let fields = [&pseudo("GET", "/")[..], &[("x", &value)]].concat();
    answer(settings, &header_block(&fields))
}

/// The response to a head that begins with a table of 8192 bytes, if that is announced at all.
pub(super) fn large_table(settings: &str) -> String {
    let larger = [&[0x3f, 0xe1, 0x3f][..], &header_block(&pseudo("GET", "/"))].concat();
    let announced = announced(settings, HEADER_TABLE_SIZE);
    format!("{announced}: {}", answer(settings, &larger))
}

/// True if a frame is longer than the smallest send buffer.
pub(super) fn send_buffer(settings: &str) -> String {
    let origin = Origin::answering(|_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n";
        [&head[..], &vec![b'y'; 60_000]].concat()
    });
    let proxy = before(settings, &origin);
    let mut raw = RawH2::connect(proxy.address);
    raw.bytes(&head(1));
    let (mut longest, mut rest) = (0, 60_000);
    while rest > 0 {
        let data = raw.until(|frame| frame.kind == DATA).unwrap();
        longest = longest.max(data.payload.len());
        rest -= data.payload.len();
    }
    (longest > 4_096).to_string()
}

/// True if a client that does not acknowledge a ping is disconnected.
pub(super) fn ping_answer(settings: &str) -> String {
    let settings = format!("timeouts.http2_ping = \"50ms\"\n{settings}");
    let origin = silent();
    let proxy = before(&settings, &origin);
    let mut raw = RawH2::connect(proxy.address);
    raw.set_timeout(soon());
    raw.until(|frame| frame.kind == GOAWAY)
        .is_some()
        .to_string()
}
