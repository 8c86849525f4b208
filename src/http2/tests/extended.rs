//! Extended CONNECT (RFC 8441), tested with literal frames.

use super::rules::{END_HEADERS, END_STREAM, HEADERS, RST_STREAM};
use super::*;

const SETTINGS: u8 = 4;
const CONNECTS: [u8; 6] = [0, 8, 0, 0, 0, 1];

/// A block of literals, written as given.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

const METHOD: (&str, &str) = (":method", "CONNECT");
const SCHEME: (&str, &str) = (":scheme", "https");
const PATH: (&str, &str) = (":path", "/chat");
const AUTHORITY: (&str, &str) = (":authority", "a.test");
const PROTOCOL: (&str, &str) = (":protocol", "websocket");

/// `:protocol` of an accepted head, or the code that its stream was reset with.
fn asked(fields: &[(&str, &str)]) -> Result<Option<Vec<u8>>, u32> {
    let mut server = server(settings());
    feed(&mut server, &frame(HEADERS, END_HEADERS, 1, &block(fields)));
    if let Some((_, head)) = server.accept() {
        return Ok(head.protocol().map(<[u8]>::to_vec));
    }
    assert_eq!(server.broken(), None);
    let frames = drain(&mut server);
    let reset = frames.iter().find(|(head, _)| head.kind == RST_STREAM);
    let code = &reset.expect("it was refused").1;
    Err(u32::from_be_bytes(code[..].try_into().unwrap()))
}

#[test]
fn a_protocol_comes_with_connect_and_a_whole_target_or_is_no_head() {
    let whole = [METHOD, PROTOCOL, SCHEME, PATH, AUTHORITY];
    assert_eq!(asked(&whole), Ok(Some(b"websocket".to_vec())));
    // A `Host` may name the authority, as in any other request.
    assert!(asked(&whole[..4]).is_ok());
    assert_eq!(asked(&[METHOD, AUTHORITY]), Ok(None));
    let malformed: [&[(&str, &str)]; 9] = [
        &[(":method", "GET"), PROTOCOL, SCHEME, PATH, AUTHORITY],
        &[PROTOCOL, SCHEME, PATH, AUTHORITY],
        &[METHOD, PROTOCOL, AUTHORITY],
        &[METHOD, PROTOCOL, SCHEME, AUTHORITY],
        &[METHOD, PROTOCOL, PATH, AUTHORITY],
        &[METHOD, PROTOCOL, PROTOCOL, SCHEME, PATH, AUTHORITY],
        &[METHOD, (":protocol", ""), SCHEME, PATH, AUTHORITY],
        &[METHOD, SCHEME, PATH, AUTHORITY, ("x", "y"), PROTOCOL],
        // Without a protocol it has no such target.
        &[METHOD, SCHEME, PATH, AUTHORITY],
    ];
    for fields in malformed {
        assert_eq!(asked(fields), Err(1), "{fields:?}");
    }
}

#[test]
fn an_answer_and_trailers_have_no_protocol() {
    let mut client = client(settings());
    let key = client.open(&asking(), false).unwrap();
    let fields = block(&[(":status", "200"), PROTOCOL]);
    feed(&mut client, &frame(HEADERS, END_HEADERS, 1, &fields));
    assert!(matches!(
        client.poll_head(key, &quiet()),
        Poll::Ready(Err(_))
    ));
    let mut server = server(settings());
    feed(&mut server, &frame(HEADERS, END_HEADERS, 1, &asking()));
    let (key, _) = server.accept().unwrap();
    let fields = block(&[PROTOCOL]);
    let flags = END_HEADERS | END_STREAM;
    feed(&mut server, &frame(HEADERS, flags, 1, &fields));
    assert!(matches!(take(&mut server, key), Some(Err(_))));
}

#[test]
fn a_server_announces_it_and_a_client_knows_who_has() {
    let greeting = |role| drain(&mut Connection::new(role, settings(), budget()));
    let says = |role| {
        let (head, payload) = greeting(role).remove(0);
        assert_eq!((head.kind, payload.len() % 6), (SETTINGS, 0));
        payload.chunks(6).any(|setting| setting == CONNECTS)
    };
    assert!(says(Role::Server) && !says(Role::Client));
    assert!(!client(settings()).takes_protocols());
    let mut client = Connection::new(Role::Client, settings(), budget());
    assert!(!client.takes_protocols());
    feed(&mut client, &frame(SETTINGS, 0, 0, &CONNECTS));
    assert!(client.takes_protocols());
}

#[test]
fn a_tunnel_carries_both_ways_and_each_direction_ends_by_itself() {
    let (mut client, mut server) = (
        Connection::new(Role::Client, settings(), budget()),
        Connection::new(Role::Server, settings(), budget()),
    );
    settle(&mut client, &mut server);
    let mut asking = Vec::new();
    let mut encoder = Encoder::new(&mut asking);
    assert!(encoder.method(b"CONNECT") && encoder.protocol(b"websocket"));
    assert!(encoder.scheme(b"http") && encoder.path(b"/chat") && encoder.authority(b"a.test"));
    let near = client.open(&asking, false).unwrap();
    settle(&mut client, &mut server);
    let (far, head) = server.accept().unwrap();
    assert_eq!(head.protocol(), Some(&b"websocket"[..]));
    server.send_head(far, &answering(200), false).unwrap();
    let send = |connection: &mut Connection, key, mut data: &[u8], is_last| {
        let sent = connection.poll_send(key, &quiet(), &mut data, is_last);
        assert!(matches!(sent, Poll::Ready(Ok(()))));
    };
    send(&mut client, near, b"up", true);
    settle(&mut client, &mut server);
    assert_eq!(take(&mut server, far), Some(Ok((b"up".to_vec(), true))));
    send(&mut server, far, b"down", false);
    settle(&mut client, &mut server);
    assert_eq!(take(&mut client, near), Some(Ok((b"down".to_vec(), false))));
    send(&mut server, far, b"", true);
    settle(&mut client, &mut server);
    assert_eq!(take(&mut client, near), Some(Ok((Vec::new(), true))));
    client.release(near, Code::NO_ERROR);
    server.release(far, Code::NO_ERROR);
    assert!(client.is_idle() && server.is_idle());
}
