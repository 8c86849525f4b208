//! Tunnels: only for a WebSocket, only after the origin's 101, and never by the request of another client.

use super::{SMUGGLED, get, seen_get};
use crate::conformance::{
    case::{After, Case, Request, case, request, status},
    origin::{Then, When},
};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const ACCEPT: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const REFUSE: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";

fn asked() -> Request {
    request(&[
        "GET /chat HTTP/1.1",
        "Host: a.example",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "connection: upgrade",
        "upgrade: websocket",
    ])
}

pub(super) fn cases() -> Vec<Case> {
    [tunnels(), refusals(), unsolicited()]
        .into_iter()
        .flatten()
        .collect()
}

fn tunnels() -> Vec<Case> {
    let accepted = || {
        status(&[101])
            .has("upgrade", "websocket")
            .has("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    };
    vec![
        case("upgrade-tunnel", &[4])
            .send(ASK)
            .answers(When::Whole, ACCEPT, Then::Echo)
            .receive("\r\n\r\n")
            .send("\x01\x02hello")
            .gets(accepted())
            .sees(asked())
            .then(After::Tunnel(b"\x01\x02hello")),
        // A request inside the tunnel is no request.
        case("upgrade-tunnel-is-opaque", &[4])
            .send(ASK)
            .answers(When::Whole, ACCEPT, Then::Echo)
            .receive("\r\n\r\n")
            .send("\0GET /x HTTP/1.1\r\n\r\n")
            .gets(accepted())
            .sees(asked())
            .then(After::Tunnel(b"\0GET /x HTTP/1.1\r\n\r\n")),
        // Bytes that come with the response belong to the tunnel.
        case("upgrade-bytes-with-the-answer", &[4])
            .send(ASK)
            .answers(When::Whole, format!("{ACCEPT}\x05first"), Then::Echo)
            .gets(accepted())
            .sees(asked())
            .then(After::Tunnel(b"\x05first")),
        // Bytes sent before the response are forwarded only after it.
        case("upgrade-bytes-before-a-tunnel", &[4])
            .send(format!("{ASK}\x06early"))
            .answers(When::Head, ACCEPT, Then::Echo)
            .gets(accepted())
            .sees(asked())
            .then(After::Tunnel(b"\x06early")),
        case("upgrade-tunnel-ends-with-the-origin", &[4, 8])
            .send(ASK)
            .answers(When::Whole, ACCEPT, Then::Close)
            .gets(accepted())
            .sees(asked())
            .then(After::Closed),
        case("upgrade-tunnel-ends-with-the-client", &[4, 15])
            .send(ASK)
            .answers(When::Whole, ACCEPT, Then::Echo)
            .receive("\r\n\r\n")
            .reset()
            .gets(accepted())
            .sees(asked())
            .then(After::Left),
        case("upgrade-capitals", &[4])
            .send(
                ASK.replace("websocket", "WebSocket")
                    .replace("Upgrade\r\nUp", "keep-alive, UPGRADE\r\nUp"),
            )
            .answers(When::Whole, ACCEPT, Then::Echo)
            .receive("\r\n\r\n")
            .send("\x01")
            .gets(status(&[101]))
            .sees(asked())
            .then(After::Tunnel(b"\x01")),
        // The origin refuses: the connection stays an HTTP connection.
        case("upgrade-refused-by-the-origin", &[4])
            .send(ASK)
            .answers(When::Whole, REFUSE, Then::Close)
            .gets(status(&[403]).body("no"))
            .sees(asked()),
        // Bytes that were sent for the tunnel are read as a request, which they are not.
        case("upgrade-bytes-before-a-refusal", &[4])
            .send(format!("{ASK}\x06early\r\n\r\n{SMUGGLED}"))
            .answers(When::Whole, REFUSE, Then::Close)
            .gets(status(&[403]).body("no"))
            .gets(status(&[400]).or_nothing())
            .sees(asked())
            .then(After::Closed),
    ]
}

fn refusals() -> Vec<Case> {
    let with = |line: &str| ASK.replacen("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"), 1);
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    // Not an upgrade that may be forwarded: an ordinary request.
    let plain = |name: &str, text: String, line: &str| {
        let head = [line, "Host: a.example", "Sec-WebSocket-Version: 13", key];
        case(name, &[4]).send(text).passes(request(&head))
    };
    vec![
        case("upgrade-with-a-body", &[4])
            .send(format!("{}hello", with("Content-Length: 5")))
            .refused(&[400]),
        case("upgrade-with-chunks", &[4])
            .send(format!(
                "{}0\r\n\r\n{SMUGGLED}",
                with("Transfer-Encoding: chunked")
            ))
            .refused(&[400]),
        plain(
            "upgrade-by-post",
            ASK.replace("GET", "POST"),
            "POST /chat HTTP/1.1",
        ),
        plain(
            "upgrade-without-connection",
            ASK.replace("Connection: Upgrade\r\n", ""),
            "GET /chat HTTP/1.1",
        ),
        plain(
            "upgrade-to-two",
            ASK.replace("Upgrade: websocket", "Upgrade: websocket, h2c"),
            "GET /chat HTTP/1.1",
        ),
        plain("upgrade-twice", with("Upgrade: h2c"), "GET /chat HTTP/1.1"),
        plain(
            "upgrade-to-another",
            ASK.replace("Upgrade: websocket", "Upgrade: foo"),
            "GET /chat HTTP/1.1",
        ),
        case("upgrade-old", &[4])
            .send(ASK.replace("HTTP/1.1", "HTTP/1.0"))
            .gets(status(&[200]).body("ok"))
            .sees(
                request(&[
                    "GET /chat HTTP/1.1",
                    "Host: a.example",
                    "Sec-WebSocket-Version: 13",
                    key,
                ])
                .added("via", "1.0 switchback"),
            )
            .then(After::Closed),
    ]
}

/// An origin that switches protocols without a request for it.
fn unsolicited() -> Vec<Case> {
    let h2c = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI";
    let nothing = "HTTP/1.1 101 Switching Protocols\r\n\r\nGET";
    let old = ACCEPT.replace("HTTP/1.1", "HTTP/1.0");
    let answered = |name: &str, sent: &str, answer: &str, seen: Request| {
        case(name, &[4, 20])
            .send(sent)
            .answers(When::Whole, answer, Then::Keep)
            .gets(status(&[502]))
            .sees(seen)
            .then(After::Any)
    };
    vec![
        answered("unsolicited-101", &get(""), ACCEPT, seen_get(&[])),
        answered(
            "unsolicited-101-to-h2c",
            &get("Connection: Upgrade\r\nUpgrade: h2c\r\n"),
            h2c,
            seen_get(&[]),
        ),
        answered(
            "unsolicited-101-without-fields",
            &get(""),
            nothing,
            seen_get(&[]),
        ),
        answered("unsolicited-101-other-protocol", ASK, h2c, asked()),
        answered("unsolicited-101-without-upgrade", ASK, nothing, asked()),
        answered("unsolicited-101-old", ASK, &old, asked()),
    ]
}
