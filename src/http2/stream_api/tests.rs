//! Two connections that talk to each other, and a client that sends what ours never would.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use super::*;
use crate::http2::hpack::Encoder;
use crate::http2::{BudgetLimits, Role, Settings};
use crate::message::KnownField;

const OWN: Settings = Settings {
    streams: 100,
    pending_resets: 20,
    local_resets: 100,
    stream_window: 65_536,
    connection_window: 1 << 20,
    frame: 16_384,
    header_list: 65_536,
    informational: 100,
    trailers: 16_384,
    fields: 108,
    header_table: 4_096,
    send_buffer_max: 65_536,
};

const BUDGET: BudgetLimits = BudgetLimits {
    leave: 750,
    close: 1_000,
    window_ms: 10_000,
};

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn waker() -> (Arc<Woken>, Waker) {
    let woken = Arc::new(Woken::default());
    (Arc::clone(&woken), woken.into())
}

/// Passes all output of one side to the other.
fn pass(from: &mut Connection, to: &mut Connection) {
    let bytes = from.outgoing().to_vec();
    from.sent(bytes.len());
    // Connection errors are the subject of some tests.
    let _ = to.receive(&bytes, 0);
}

fn pair() -> (Connection, Connection) {
    let mut client = Connection::new(Role::Client, OWN, BUDGET);
    let mut server = Connection::new(Role::Server, OWN, BUDGET);
    for _ in 0..3 {
        pass(&mut client, &mut server);
        pass(&mut server, &mut client);
    }
    (client, server)
}

fn request(length: Option<&str>) -> Vec<u8> {
    let mut block = Vec::new();
    let mut encoder = Encoder::new(&mut block);
    assert!(encoder.method(b"POST") && encoder.scheme(b"http") && encoder.path(b"/"));
    if let Some(length) = length {
        let name = b"content-length";
        assert!(encoder.field(KnownField::ContentLength, name, length.as_bytes(), false));
    }
    block
}

fn response() -> Vec<u8> {
    let mut block = Vec::new();
    Encoder::new(&mut block).status(200);
    block
}

fn send(connection: &mut Connection, key: Key, mut data: &[u8], is_last: bool) -> bool {
    let (_, waker) = waker();
    let cx = Context::from_waker(&waker);
    connection
        .poll_send(key, &cx, &mut data, is_last)
        .is_ready()
}

/// Body received so far, and if that was all; `None` if it was reset.
fn take(connection: &mut Connection, key: Key) -> Option<(Vec<u8>, bool)> {
    let (_, waker) = waker();
    let mut into = Vec::new();
    let cx = Context::from_waker(&waker);
    match connection.poll_take(key, &cx, &mut into) {
        Poll::Pending => Some((into, false)),
        Poll::Ready(Err(_)) => None,
        Poll::Ready(Ok(BodyEvent::Data { last })) => Some((into, last)),
        Poll::Ready(Ok(BodyEvent::End(_))) => Some((into, true)),
    }
}

#[test]
fn answers_that_nobody_reads_to_the_end_leave_the_window_whole() {
    let (mut client, mut server) = pair();
    for turn in 0..3_000 {
        let asked = client.open(&request(None), true).unwrap();
        pass(&mut client, &mut server);
        let (given, _) = server.accept().unwrap();
        server.send_head(given, &response(), false).unwrap();
        assert!(send(&mut server, given, &[7; 1_024], true), "{turn}");
        server.release(given, Code::NO_ERROR);
        pass(&mut server, &mut client);
        let (data, is_last) = take(&mut client, asked).unwrap();
        assert_eq!((data.len(), is_last), (1_024, true), "{turn}");
        // Dropped as it is: taken, and never released.
        client.release(asked, Code::CANCEL);
        pass(&mut client, &mut server);
    }
    assert!(client.is_idle() && server.is_idle());
}

#[test]
fn a_body_that_came_whole_and_too_short_or_too_long_is_not_used() {
    for (announced, sent) in [(100, 50), (100, 150), (0, 1)] {
        let (mut client, mut server) = pair();
        let text = announced.to_string();
        let asked = client.open(&request(Some(&text)), false).unwrap();
        assert!(send(&mut client, asked, &vec![1; sent], true));
        pass(&mut client, &mut server);
        let (given, _) = server.accept().unwrap();
        assert!(!server.expect(given, announced), "{announced} {sent}");
        server.reset(given, Code::PROTOCOL_ERROR);
        assert_eq!(take(&mut server, given), None, "{announced} {sent}");
    }
}

#[test]
fn a_body_that_turns_out_wrong_later_is_broken_off() {
    for (first, second) in [(30, 30), (30, 100)] {
        let (mut client, mut server) = pair();
        let asked = client.open(&request(Some("100")), false).unwrap();
        assert!(send(&mut client, asked, &vec![1; first], false));
        pass(&mut client, &mut server);
        let (given, _) = server.accept().unwrap();
        assert!(server.expect(given, 100));
        assert_eq!(
            take(&mut server, given).map(|(data, _)| data.len()),
            Some(first)
        );
        send(&mut client, asked, &vec![1; second], true);
        pass(&mut client, &mut server);
        assert_eq!(take(&mut server, given), None, "{first} {second}");
    }
}

#[test]
fn what_never_leaves_completely_takes_no_more_memory() {
    let settings = Settings {
        stream_window: 1 << 30,
        connection_window: 1 << 30,
        ..OWN
    };
    let mut client = Connection::new(Role::Client, settings, BUDGET);
    let mut server = Connection::new(Role::Server, OWN, BUDGET);
    for _ in 0..3 {
        pass(&mut client, &mut server);
        pass(&mut server, &mut client);
    }
    client.open(&request(None), true).unwrap();
    pass(&mut client, &mut server);
    let (given, _) = server.accept().unwrap();
    server.send_head(given, &response(), false).unwrap();
    let piece = vec![1; 30_000];
    for _ in 0..1_000 {
        send(&mut server, given, &piece, false);
        // The socket accepts less than there is, each time.
        let n = server.outgoing().len().saturating_sub(20_000);
        server.sent(n);
    }
    let memory = {
        let n = server.outgoing().len();
        server.sent(n);
        server.take_memory().unwrap().capacity()
    };
    assert!(memory <= 4 * OWN.send_buffer_max, "{memory} bytes");
}

#[test]
fn what_belongs_to_streams_above_a_goodbye_is_ignored() {
    let (mut client, mut server) = pair();
    server.graceful_shutdown();
    server.final_goaway();
    let late = client.open(&request(None), false).unwrap();
    assert!(send(&mut client, late, b"late", false));
    client.reset(late, Code::CANCEL);
    pass(&mut client, &mut server);
    assert!(server.accept().is_none());
    assert_eq!(server.broken(), None);
    assert!(server.is_drained());
}

#[test]
fn a_stream_that_was_taken_back_is_not_served() {
    let (mut client, mut server) = pair();
    let asked = client.open(&request(None), true).unwrap();
    client.release(asked, Code::CANCEL);
    pass(&mut client, &mut server);
    assert!(server.accept().is_none());
    assert!(server.is_idle());
}

/// A server with `count` streams, of which the first fills the buffer, and the wakers of the others.
fn crowd(count: usize) -> (Connection, Connection, Vec<(Key, Arc<Woken>)>) {
    let (mut client, mut server) = pair();
    for _ in 0..count {
        client.open(&request(None), true).unwrap();
    }
    pass(&mut client, &mut server);
    let mut waiting = Vec::new();
    while let Some((key, _)) = server.accept() {
        server.send_head(key, &response(), false).unwrap();
        let (woken, waker) = waker();
        let bytes = vec![1; 70_000];
        let mut data = &bytes[..];
        let cx = Context::from_waker(&waker);
        assert!(server.poll_send(key, &cx, &mut data, false).is_pending());
        waiting.push((key, woken));
    }
    assert!(
        waiting
            .iter()
            .all(|(_, woken)| woken.0.load(Ordering::Relaxed) == 0)
    );
    (client, server, waiting)
}

#[test]
fn the_turn_passes_by_streams_that_have_nothing_to_send_any_more() {
    let (mut client, mut server, waiting) = crowd(4);
    // All but the last end while they wait, in each possible way.
    server.release(waiting[0].0, Code::CANCEL);
    server.reset(waiting[1].0, Code::CANCEL);
    server.release(waiting[2].0, Code::NO_ERROR);
    pass(&mut server, &mut client);
    assert!(waiting[3].1.0.load(Ordering::Relaxed) > 0, "nobody was let");
}

#[test]
fn each_stream_that_waits_has_its_turn() {
    let (mut client, mut server, waiting) = crowd(3);
    let mut turns = [0; 3];
    for _ in 0..30 {
        pass(&mut server, &mut client);
        pass(&mut client, &mut server);
        for (turn, (key, woken)) in turns.iter_mut().zip(&waiting) {
            if woken.0.swap(0, Ordering::Relaxed) > 0 {
                *turn += 1;
                let waker = Waker::from(Arc::clone(woken));
                let bytes = vec![1; 10_000];
                let mut data = &bytes[..];
                let cx = Context::from_waker(&waker);
                let _ = server.poll_send(*key, &cx, &mut data, false);
            }
        }
        // The reader keeps the windows open.
        for id in 0..3 {
            let key = client.streams.find(2 * id + 1).unwrap();
            if let Some((data, _)) = take(&mut client, key) {
                client.release_capacity(key, data.len());
            }
        }
        for (key, woken) in &waiting {
            let waker = Waker::from(Arc::clone(woken));
            let bytes = vec![1; 70_000];
            let mut data = &bytes[..];
            let cx = Context::from_waker(&waker);
            let _ = server.poll_send(*key, &cx, &mut data, false);
        }
    }
    assert!(turns.iter().all(|turns| *turns > 2), "{turns:?}");
}
