//! Probes of what HTTP/2 connections are allowed: frames as they are, on a connection to a proxy.

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

/// The frames until everything that was sent has been looked at, or the connection is closed.
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

/// The streams that were reset, the codes of goodbyes.
fn broken(frames: &[RawFrame]) -> String {
    let resets: Vec<_> = of(RST_STREAM, frames)
        .iter()
        .map(|one| one.stream)
        .collect();
    let goodbyes: Vec<_> = of(GOAWAY, frames)
        .iter()
        .map(|one| one.payload[7])
        .collect();
    format!("resets of {resets:?}, goodbyes for {goodbyes:?}")
}

/// What becomes of bytes that are sent at once, when no endpoint answers.
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

/// Frames that cost and bring nothing.
fn burden(times: usize) -> Vec<u8> {
    frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]).repeat(times)
}

/// The streams that are refused of twenty.
pub(super) fn streams(settings: &str) -> String {
    let heads: Vec<u8> = (0..20).flat_map(|n| head(2 * n + 1)).collect();
    sent(settings, &heads)
}

/// Whether a stream is refused while one that was reset is still being ended.
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

/// What ten streams bring that end by a mistake of the client.
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

/// Whether what costs adds up over a longer time.
pub(super) fn abuse_window(settings: &str) -> String {
    let settings = format!("limits.http2.abuse_goaway = 20\n{settings}");
    let origin = silent();
    let proxy = before(&settings, &origin);
    let mut raw = RawH2::connect(proxy.address);
    let mut seen = Vec::new();
    for _ in 0..3 {
        raw.bytes(&burden(10));
        seen.extend(frames(&mut raw));
        // The time that passes is what this is about.
        std::thread::sleep(Duration::from_millis(100));
    }
    broken(&seen)
}

/// A setting as it is announced.
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

/// What the window of the connection is widened by at its beginning.
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

/// How the answer to a head begins.
fn answer(settings: &str, block: &[u8]) -> String {
    let origin = Origin::replying("x");
    let proxy = before(settings, &origin);
    let mut raw = RawH2::connect(proxy.address);
    raw.frame(HEADERS, END_HEADERS | END_STREAM, 1, block);
    let end = raw.until(|frame| matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY));
    let end = end.unwrap();
    // The status comes first, after what may be said about the size of the table.
    let status = end.payload.strip_prefix(&[0x20]).unwrap_or(&end.payload);
    let status = String::from_utf8_lossy(&status[..status.len().min(5)]);
    format!("{} {status:?}", end.kind)
}

pub(super) fn long_list(settings: &str) -> String {
    let value = "y".repeat(2_000);
    let fields = [&pseudo("GET", "/")[..], &[("x", &value)]].concat();
    answer(settings, &header_block(&fields))
}

/// What becomes of a head that begins with a table of 8192 bytes, if that is announced at all.
pub(super) fn large_table(settings: &str) -> String {
    let larger = [&[0x3f, 0xe1, 0x3f][..], &header_block(&pseudo("GET", "/"))].concat();
    let announced = announced(settings, HEADER_TABLE_SIZE);
    format!("{announced}: {}", answer(settings, &larger))
}

/// Whether a frame is longer than the smallest buffer on the way out.
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

/// Whether a client is let go that does not answer a ping.
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
