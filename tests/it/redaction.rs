//! Confidential data of clients is in no log, at no level: tokens, cookies, fields, queries and bodies.

use crate::{
    conformance::child::Switchback,
    support::{
        Origin, exchange,
        h2::{H2Client, RawH2, block, pseudo, request},
    },
};

const SECRET: &str = "c0nf1dent1al";

/// An origin whose responses have secrets, and one whose responses are refused besides.
fn origins() -> (Origin, Origin) {
    let good = Origin::answering(|_| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: sid={SECRET}\r\n\
             WWW-Authenticate: Bearer {SECRET}\r\n\r\nok"
        )
        .into_bytes()
    });
    let odd = Origin::answering(|_| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nSet-Cookie: sid={SECRET}\r\n\r\nok")
            .into_bytes()
    });
    (good, odd)
}

#[test]
fn nothing_confidential_is_logged_at_any_level() {
    let (origin, odd) = origins();
    let config = format!(
        "log.level = \"trace\"\n[releases.good]\nendpoints = [{:?}]\n[releases.odd]\nendpoints = [{:?}]\n\
         [[routes]]\nname = \"all\"\npath_prefix = \"/\"\nsplit = {{ good = 1 }}\n\
         affinity = [{{ header = \"x-session\" }}, {{ cookie = \"sid\" }}]\n\
         [[routes]]\nname = \"odd\"\npath_prefix = \"/odd\"\nsplit = {{ odd = 1 }}\n",
        origin.url(),
        odd.url(),
    );
    let switchback = Switchback::start(&[""], &config);
    let address = switchback.listeners[0];
    let fields = format!(
        "Host: a.test\r\nAuthorization: Bearer {SECRET}\r\nCookie: sid={SECRET}\r\nX-Session: {SECRET}\r\n\
         Connection: close\r\n"
    );
    for (line, more, status) in [
        ("GET /marked?key=", "", "200"),
        ("GET /odd?key=", "", "502"),
        // Refused: two lengths, a folded line, an invalid length.
        (
            "POST /?key=",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "400",
        ),
        ("GET /?key=", "X-A: b\r\n c0nf1dent1al\r\n", "400"),
        ("POST /?key=", "Content-Length: c0nf1dent1al\r\n", "400"),
        ("GET /?key=", "c0nf1dent1al\r\n", "400"),
        ("CONNECT ", "", "405"),
    ] {
        let bytes = format!("{line}{SECRET} HTTP/1.1\r\n{fields}{more}\r\n");
        let answer = exchange(address, &bytes);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line}: {answer}"
        );
    }
    block(async {
        let client = H2Client::connect(address).await;
        let mut asked = request("GET", &format!("/marked?key={SECRET}"));
        for name in ["authorization", "cookie", "x-session"] {
            asked.headers_mut().insert(name, SECRET.parse().unwrap());
        }
        let (answer, _) = client.open(asked, true).await;
        assert_eq!(answer.await.unwrap().status(), 200);
    });
    // Malformed requests are refused, and that is logged.
    let mut raw = RawH2::connect(address);
    let bad = [
        &pseudo("GET", "/")[..],
        &[("authorization", SECRET), ("x-a", "\0c0nf1dent1al")],
    ];
    raw.head(1, 5, &bad.concat());
    raw.rest();

    let log = switchback.log();
    assert!(
        log.contains("/marked") && log.contains(" DEBUG "),
        "nothing was logged at all"
    );
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(SECRET)).collect();
    assert!(lines.is_empty(), "{lines:#?}");
}
