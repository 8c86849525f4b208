//! One rule each, held against frames that are given.

use super::*;
use crate::http2::inbound::Stage;
use crate::message::Reason;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

fn opened(server: &mut Connection, id: u32, flags: u8) -> (Key, Head) {
    feed(server, &frame(HEADERS, END_HEADERS | flags, id, &asking()));
    server.accept().expect("a stream was opened")
}

#[test]
fn the_window_is_whole_after_streams_that_were_reset_at_every_point() {
    let mut server = server(settings());
    let mut id = 1;
    for cut in 0..200 {
        for is_ours in [false, true] {
            let (key, _) = opened(&mut server, id, 0);
            let data = frame(DATA, PADDED, id, &[&[50][..], &[0; 150]].concat());
            let cut = cut.min(data.len());
            let taken = server.receive(&data[..cut], 0).unwrap();
            if is_ours {
                server.reset(key, Code::CANCEL);
            }
            feed(&mut server, &data[taken..]);
            if !is_ours {
                feed(&mut server, &frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
            }
            server.release(key, Code::CANCEL);
            assert!(matches!(server.receiving.stage, Stage::Frame));
            drain(&mut server);
            id += 2;
        }
    }
    assert!(is_whole(&server, &settings()) && server.is_idle() && server.open == 0);
}

/// Sends a frame of 16 KiB after the other of a stream, as far as the windows that were given allow; how much left.
fn send_on(from: &mut Connection, key: Key, to: &mut Connection, mut bytes: usize) -> usize {
    let all = bytes;
    let piece = vec![b'x'; 16 << 10];
    while bytes > 0 {
        let mut data = &piece[..bytes.min(piece.len())];
        let before = data.len();
        let _ = from.poll_send(key, &quiet(), &mut data, false);
        bytes -= before - data.len();
        carry(from, to, usize::MAX);
        carry(to, from, usize::MAX);
        if before == data.len() {
            break;
        }
    }
    all - bytes
}

#[test]
fn streams_that_nobody_reads_leave_the_others_their_window() {
    for is_upload in [true, false] {
        let mut client = Connection::new(Role::Client, settings(), budget());
        let mut server = Connection::new(Role::Server, settings(), budget());
        settle(&mut client, &mut server);
        let mut pairs = Vec::new();
        for _ in 0..100 {
            let asked = client.open(&asking(), false).unwrap();
            settle(&mut client, &mut server);
            let (given, _) = server.accept().unwrap();
            server.send_head(given, &answering(200), false).unwrap();
            settle(&mut client, &mut server);
            assert!(client.poll_head(asked, &quiet()).is_ready());
            pairs.push(if is_upload {
                (asked, given)
            } else {
                (given, asked)
            });
        }
        let (from, to) = if is_upload {
            (&mut client, &mut server)
        } else {
            (&mut server, &mut client)
        };
        let (writer, reader) = pairs.pop().unwrap();
        for (stalled, _) in &pairs {
            assert_eq!(send_on(from, *stalled, to, 100_000), 64 << 10);
        }
        let mut got = 0;
        while got < 5_000_000 {
            let sent = send_on(from, writer, to, 64 << 10);
            assert!(sent > 0, "it stands still after {got} bytes");
            let (data, _) = take(to, reader).unwrap().unwrap();
            to.taken(reader, data.len());
            got += data.len();
            carry(to, from, usize::MAX);
        }
    }
}

#[test]
fn what_a_reset_stream_held_is_given_back_before_it_is_let_go() {
    let mut server = server(settings());
    let mut held = Vec::new();
    for id in (1..40).step_by(2) {
        held.push(opened(&mut server, id, 0).0);
        for _ in 0..4 {
            feed(&mut server, &frame(DATA, 0, id, &[b'x'; 16_000]));
        }
        feed(&mut server, &frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
    }
    assert!(server.receiving.window >= i64::from(settings().connection_window / 2));
    for key in held {
        assert!(matches!(take(&mut server, key), Some(Err(_))));
        server.release(key, Code::CANCEL);
    }
    drain(&mut server);
    assert!(is_whole(&server, &settings()) && server.is_idle());
}

#[test]
fn what_came_before_a_reset_is_passed_on() {
    let mut client = client(settings());
    let key = client.open(&asking(), true).unwrap();
    let came = [
        frame(HEADERS, END_HEADERS, 1, &answering(200)),
        frame(DATA, 0, 1, b"half"),
        frame(RST_STREAM, 0, 1, &2_u32.to_be_bytes()),
    ];
    feed(&mut client, &came.concat());
    assert!(matches!(
        client.poll_head(key, &quiet()),
        Poll::Ready(Ok(_))
    ));
    assert_eq!(
        take(&mut client, key).unwrap().unwrap(),
        (b"half".to_vec(), false)
    );
    let gone = take(&mut client, key).unwrap().unwrap_err();
    assert_eq!((gone.code, gone.is_unprocessed), (Code(2), false));
}

#[test]
fn an_end_without_data_passes_a_window_that_is_overdrawn() {
    let small = Settings {
        stream_window: 1_000,
        ..settings()
    };
    let mut server = Connection::new(Role::Server, small, budget());
    feed(&mut server, &[PREFACE, &frame(4, 0, 0, b"")].concat());
    let (key, _) = opened(&mut server, 1, 0);
    // It was sent before our settings were seen.
    feed(&mut server, &frame(DATA, 0, 1, &[b'x'; 5_000]));
    feed(&mut server, &frame(4, 1, 0, b""));
    feed(&mut server, &frame(DATA, END_STREAM, 1, b""));
    let (data, is_last) = take(&mut server, key).unwrap().unwrap();
    assert_eq!((data.len(), is_last), (5_000, true));
}

#[test]
fn a_stream_that_is_gone_leaves_the_line() {
    let mut client = client(settings());
    for _ in 0..500 {
        let key = client.open(&asking(), false).unwrap();
        // The connection's window is used up by the first, and the others wait for it.
        let _ = client.poll_send(key, &quiet(), &mut &vec![0; 70_000][..60_000], false);
        client.release(key, Code::CANCEL);
        drain(&mut client);
    }
    assert_eq!(client.sending.line.len(), 0);
}

#[test]
fn a_token_passes_bulk_streams_and_each_of_those_has_its_turn() {
    let mut client = client(settings());
    feed(&mut client, &frame(8, 0, 0, &0x3fff_ffff_u32.to_be_bytes()));
    let settings_of_peer = [&4_u16.to_be_bytes()[..], &0x3fff_ffff_u32.to_be_bytes()].concat();
    feed(&mut client, &frame(4, 0, 0, &settings_of_peer));
    let bells: Vec<Arc<Bell>> = (0..11).map(|_| Arc::default()).collect();
    let keys: Vec<Key> = (0..11)
        .map(|_| client.open(&asking(), false).unwrap())
        .collect();
    let bulk = vec![0; 2_000_000];
    let mut left: Vec<&[u8]> = (0..11).map(|_| &bulk[..]).collect();
    let mut turns = [0; 11];
    let mut waited = 0;
    let write = |client: &mut Connection, at: usize, left: &mut Vec<&[u8]>| {
        let waker = Waker::from(Arc::clone(&bells[at]));
        let before = left[at].len();
        let sent = client.poll_send(keys[at], &Context::from_waker(&waker), &mut left[at], false);
        (before - left[at].len(), sent.is_ready())
    };
    for at in 0..10 {
        write(&mut client, at, &mut left);
    }
    for round in 0..300 {
        // Every third time a token comes, and it waits for no more than what was written before it.
        let mut token: &[u8] = b"token";
        let mut is_token_out = round % 3 != 0;
        for slow in 0..100 {
            if !is_token_out && (slow == 0 || bells[10].rings() > 0) {
                let waker = Waker::from(Arc::clone(&bells[10]));
                is_token_out = client
                    .poll_send(keys[10], &Context::from_waker(&waker), &mut token, false)
                    .is_ready();
                waited = waited.max(slow);
            }
            for at in 0..10 {
                if bells[at].rings() > 0 {
                    turns[at] += usize::from(write(&mut client, at, &mut left).0 > 0);
                    if left[at].len() < 100_000 {
                        left[at] = &bulk;
                    }
                }
            }
            if is_token_out && slow > 0 {
                break;
            }
            assert!(
                !client.outgoing().is_empty(),
                "nobody was woken although there is room"
            );
            client.sent(client.outgoing().len().min(20_000));
        }
        assert!(is_token_out, "the token starves");
    }
    // Ten frames of the others and what was gathered before, at 20,000 bytes a step, and one turn missed.
    assert!(waited <= 16, "{waited}");
    let (least, most) = (
        turns[..10].iter().min().unwrap(),
        turns[..10].iter().max().unwrap(),
    );
    assert!(*least > 0 && most - least <= 2 + most / 5, "{turns:?}");
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

/// The codes of the resets that a connection has to say, with their streams.
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
    // Once each: what comes behind our own reset may have been on its way.
    assert_eq!(resets(&mut server), [(1, 5), (3, 5)]);
    server.release(held, Code::CANCEL);
    assert!(is_whole(&server, &settings()) && server.broken().is_none());
}

#[test]
fn a_stream_that_depends_on_itself_is_an_error_of_the_stream() {
    let on_itself = |id: u32| [&id.to_be_bytes()[..], &[16]].concat();
    let mut server = server(settings());
    // One that is not open yet, and is not remembered as if we had ended it.
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
        // Answered before its body was read, as an upload that is too large is.
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
    // One that nobody has reset is still judged.
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
    // It answers the first, a window at a time, and takes none of what is said.
    feed(
        &mut client,
        &frame(HEADERS, END_HEADERS, 1, &answering(200)),
    );
    for _ in 0..4 {
        feed(&mut client, &frame(DATA, 0, 1, &[b'x'; 16_000]));
    }
    assert_eq!(take(&mut client, keys[0]).unwrap().unwrap().0.len(), 64_000);
    assert_eq!(client.broken(), None);
    // What it asks for meanwhile has an end as well.
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

fn gone_of(client: &mut Connection, key: Key) -> Option<super::super::Gone> {
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
    // The other one refers to what the table has got.
    let block = [answering(204), vec![0xbe]].concat();
    feed(
        &mut client,
        &frame(HEADERS, END_HEADERS | END_STREAM, 3, &block),
    );
    let Poll::Ready(Ok(head)) = client.poll_head(keys[1], &quiet()) else {
        panic!("no head")
    };
    assert_eq!(head.fields().next().unwrap().value, b"bc");
    // There is an end to that as well.
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
