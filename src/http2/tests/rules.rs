//! One rule each, tested with literal frames.

use super::*;
use crate::message::Reason;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;

pub(super) fn opened(server: &mut Connection, id: u32, flags: u8) -> (Key, Head) {
    feed(server, &frame(HEADERS, END_HEADERS | flags, id, &asking()));
    server.accept().expect("a stream was opened")
}

#[test]
fn heads_longer_than_a_frame_pass_both_ways() {
    let large = Settings {
        header_list: 60_000,
        ..settings()
    };
    let (mut client, mut server) = (
        Connection::new(Role::Client, large, budget()),
        Connection::new(Role::Server, large, budget()),
    );
    settle(&mut client, &mut server);
    let mut block = asking();
    block.extend(trailing(&vec![b'v'; 50_000]));
    let key = client.open(&block, true).unwrap();
    settle(&mut client, &mut server);
    let (other, head) = server.accept().unwrap();
    assert_eq!(head.fields().next().unwrap().value.len(), 50_000);
    let mut block = answering(200);
    block.extend(trailing(&vec![b'w'; 50_000]));
    server.send_head(other, &block, true).unwrap();
    settle(&mut client, &mut server);
    let Poll::Ready(Ok(head)) = client.poll_head(key, &quiet()) else {
        panic!("no head")
    };
    assert_eq!(
        (head.status(), head.fields().next().unwrap().value.len()),
        (200, 50_000)
    );
}

#[test]
fn what_a_goodbye_does_not_name_and_what_was_refused_is_unprocessed() {
    let mut client = client(settings());
    let keys: Vec<Key> = (0..3)
        .map(|_| client.open(&asking(), true).unwrap())
        .collect();
    feed(&mut client, &frame(RST_STREAM, 0, 1, &7_u32.to_be_bytes()));
    feed(
        &mut client,
        &frame(GOAWAY, 0, 0, &[&3_u32.to_be_bytes()[..], &[0; 4]].concat()),
    );
    let gone = |client: &mut Connection, key| match client.poll_head(key, &quiet()) {
        Poll::Ready(Err(gone)) => Some(gone.is_unprocessed),
        _ => None,
    };
    let all: Vec<_> = keys.iter().map(|key| gone(&mut client, *key)).collect();
    assert_eq!(all, [Some(true), None, Some(true)]);
    assert!(client.open(&asking(), true).unwrap_err().is_unprocessed);
    feed(
        &mut client,
        &frame(HEADERS, END_HEADERS | END_STREAM, 3, &answering(204)),
    );
    assert!(client.poll_head(keys[1], &quiet()).is_ready());
    for key in keys {
        client.release(key, Code::NO_ERROR);
    }
    assert_eq!(client.open, 0);
}

/// Codes of the resets in a connection's output, with their streams.
fn resets(connection: &mut Connection) -> Vec<(u32, u32)> {
    let frames = drain(connection).into_iter();
    let resets = frames.filter(|(head, _)| head.kind == RST_STREAM);
    let code = |payload: &[u8]| u32::from_be_bytes(payload.try_into().unwrap());
    resets
        .map(|(head, payload)| (head.stream, code(&payload)))
        .collect()
}

#[test]
fn data_after_the_peers_own_reset_is_told_that_the_stream_is_closed() {
    let mut server = server(settings());
    let reset = |id| frame(RST_STREAM, 0, id, &8_u32.to_be_bytes());
    let (held, _) = opened(&mut server, 1, 0);
    let (gone, _) = opened(&mut server, 3, 0);
    feed(&mut server, &[reset(1), reset(3)].concat());
    server.release(gone, Code::CANCEL);
    for id in [1, 3, 1, 3] {
        feed(&mut server, &frame(DATA, 0, id, b"late"));
    }
    // Once each: frames after our own reset may have been on their way.
    assert_eq!(resets(&mut server), [(1, 5), (3, 5)]);
    server.release(held, Code::CANCEL);
    assert!(is_whole(&server, &settings()) && server.broken().is_none());
}

#[test]
fn a_stream_that_depends_on_itself_is_an_error_of_the_stream() {
    let on_itself = |id: u32| [&id.to_be_bytes()[..], &[16]].concat();
    let mut server = server(settings());
    // A stream that is not open yet; it is not remembered as if we had reset it.
    feed(&mut server, &frame(PRIORITY, 0, 1, &on_itself(1)));
    assert_eq!(resets(&mut server), [(1, 1)]);
    let (key, _) = opened(&mut server, 1, 0);
    feed(&mut server, &frame(PRIORITY, 0, 1, &on_itself(1)));
    assert_eq!(resets(&mut server), [(1, 1)]);
    server.release(key, Code::CANCEL);
    feed(&mut server, &frame(PRIORITY, 0, 1, &on_itself(1)));
    assert_eq!(resets(&mut server), [(1, 1)]);
    let block = [on_itself(3), asking()].concat();
    feed(&mut server, &frame(HEADERS, 0x20 | END_HEADERS, 3, &block));
    let block = [on_itself(5), asking()].concat();
    let (front, rest) = block.split_at(6);
    feed(&mut server, &frame(HEADERS, 0x20, 5, front));
    feed(&mut server, &frame(9, END_HEADERS, 5, rest));
    assert_eq!(resets(&mut server), [(3, 1), (5, 1)]);
    assert!(server.accept().is_none() && server.is_idle());
    assert_eq!(server.broken(), None);
}

#[test]
fn frames_of_streams_that_we_reset_are_no_mistake_however_many_there_were() {
    let mut server = server(settings());
    let last = 2 * 1_000;
    for id in (1..last).step_by(2) {
        let (key, _) = opened(&mut server, id, 0);
        // Responded to before its body was read, as for an upload that is too large.
        server.reset(key, Code::NO_ERROR);
        server.release(key, Code::NO_ERROR);
    }
    for id in (1..last).step_by(2) {
        feed(&mut server, &frame(DATA, 0, id, b"late"));
    }
    for id in (1..200).step_by(2) {
        let block = trailing(b"late");
        feed(
            &mut server,
            &frame(HEADERS, END_HEADERS | END_STREAM, id, &block),
        );
    }
    assert!(resets(&mut server).iter().all(|(_, code)| *code == 0));
    assert_eq!((server.broken(), server.resets.mistakes), (None, 0));
    assert!(!server.is_leaving());
    // A stream that was never reset is still validated.
    let (key, _) = opened(&mut server, last + 1, END_STREAM);
    feed(&mut server, &frame(DATA, 0, last + 1, b"more"));
    assert_eq!(resets(&mut server), [(last + 1, 5)]);
    server.release(key, Code::CANCEL);
}

#[test]
fn a_server_that_reads_nothing_while_it_writes_is_read() {
    let mut client = client(settings());
    let mut block = asking();
    block.extend(trailing(&vec![b'v'; 30_000]));
    let mut keys = Vec::new();
    while client.can_take_stream() && keys.len() < 1_000 {
        keys.push(client.open(&block, true).unwrap());
    }
    assert!(
        keys.len() < 50,
        "{} heads wait for a server that reads none",
        keys.len()
    );
    for _ in 0..40 {
        keys.push(client.open(&block, true).unwrap());
    }
    // It replies to the first, a window at a time, and reads nothing.
    feed(
        &mut client,
        &frame(HEADERS, END_HEADERS, 1, &answering(200)),
    );
    for _ in 0..4 {
        feed(&mut client, &frame(DATA, 0, 1, &[b'x'; 16_000]));
    }
    assert_eq!(take(&mut client, keys[0]).unwrap().unwrap().0.len(), 64_000);
    assert_eq!(client.broken(), None);
    // Replies that it causes meanwhile are limited as well.
    let ping = frame(PING, 0, 0, &[0; 8]);
    let pings = ping.repeat(1_000);
    let mut asked = 0;
    while client.broken().is_none() && asked < 1_000_000 {
        let _ = client.receive(&pings, 0);
        asked += 1_000;
    }
    assert_eq!(
        client.broken().map(|broken| broken.code),
        Some(Code::ENHANCE_YOUR_CALM)
    );
}

fn gone_of(client: &mut Connection, key: Key) -> Option<super::super::StreamError> {
    loop {
        match client.poll_head(key, &quiet()) {
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(gone)) => return Some(gone),
            Poll::Pending => return None,
        }
    }
}

#[test]
fn a_head_of_an_answer_that_is_too_long_fails_its_own_stream() {
    let mut client = client(settings());
    let keys: Vec<Key> = (0..2)
        .map(|_| client.open(&asking(), true).unwrap())
        .collect();
    // Six fields of 15,000 bytes, the first of which goes into the table.
    let mut block = answering(200);
    block.extend(b"\x40\x01a\x02bc");
    for _ in 0..6 {
        block.extend(trailing(&[b'z'; 15_000]));
    }
    let mut parts = block.chunks(16_000).peekable();
    feed(&mut client, &frame(HEADERS, 0, 1, parts.next().unwrap()));
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_some() {
            0
        } else {
            END_HEADERS
        };
        feed(&mut client, &frame(9, flags, 1, part));
    }
    let gone = gone_of(&mut client, keys[0]).unwrap();
    assert_eq!(gone.invalid, Some(Reason::HeadTooLarge));
    // The other block refers to the table entry.
    let block = [answering(204), vec![0xbe]].concat();
    feed(
        &mut client,
        &frame(HEADERS, END_HEADERS | END_STREAM, 3, &block),
    );
    let Poll::Ready(Ok(head)) = client.poll_head(keys[1], &quiet()) else {
        panic!("no head")
    };
    assert_eq!(head.fields().next().unwrap().value, b"bc");
    // This is limited as well.
    let part = vec![0; 16_000];
    let _ = client.receive(&frame(HEADERS, 0, 1, &part), 0);
    for _ in 0..100 {
        let _ = client.receive(&frame(9, 0, 1, &part), 0);
    }
    assert_eq!(
        client.broken().map(|broken| broken.code),
        Some(Code::ENHANCE_YOUR_CALM)
    );
}

#[test]
fn informational_heads_have_a_limit_also_where_nobody_takes_them() {
    let few = Settings {
        informational: 7,
        ..settings()
    };
    for (count, invalid) in [(7, None), (8, Some(Reason::TooManyInformational))] {
        let mut client = client(few);
        let key = client.open(&asking(), true).unwrap();
        for _ in 0..count {
            feed(
                &mut client,
                &frame(HEADERS, END_HEADERS, 1, &answering(103)),
            );
        }
        feed(
            &mut client,
            &frame(HEADERS, END_HEADERS, 1, &answering(200)),
        );
        let gone = gone_of(&mut client, key);
        assert_eq!(gone.and_then(|gone| gone.invalid), invalid);
    }
}
