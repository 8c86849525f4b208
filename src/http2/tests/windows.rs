//! Windows and fairness: a blocked stream blocks no other.

use super::rules::{DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, RST_STREAM, opened};
use super::*;
use crate::http2::frame::kind;
use crate::http2::recv_state::Stage;

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

/// Sends frames of 16 KiB of a stream, as far as the windows allow; returns what is left.
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
fn a_window_is_short_only_once_the_peer_could_have_opened_it() {
    let mut client = Connection::new(Role::Client, settings(), budget());
    feed(&mut client, &frame(kind::SETTINGS, 0, 0, b""));
    let key = client.open(&asking(), false).unwrap();
    let body = vec![b'x'; 64 << 10];
    assert!(
        client
            .poll_send(key, &quiet(), &mut &body[..], false)
            .is_pending()
    );
    assert!(
        client.can_take_stream(),
        "it has not said yet what it allows"
    );
    feed(&mut client, &frame(kind::SETTINGS, 1, 0, b""));
    assert!(!client.can_take_stream(), "it has, and left the window");
    feed(
        &mut client,
        &frame(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 20).to_be_bytes()),
    );
    assert!(client.can_take_stream());
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
            to.release_capacity(reader, data.len());
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
    // Sent before our SETTINGS arrived.
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
        // The connection window is used up by the first, and the others wait for it.
        let _ = client.poll_send(key, &quiet(), &mut &vec![0; 70_000][..60_000], false);
        client.release(key, Code::CANCEL);
        drain(&mut client);
    }
    assert_eq!(client.sending.send_queue.len(), 0);
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
        // Every third time a token comes, and waits for no more than was written before it.
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
    // Ten frames of the others and what was buffered before, at 20,000 bytes a step, and one wake-up missed.
    assert!(waited <= 16, "{waited}");
    let (least, most) = (
        turns[..10].iter().min().unwrap(),
        turns[..10].iter().max().unwrap(),
    );
    assert!(*least > 0 && most - least <= 2 + most / 5, "{turns:?}");
}
