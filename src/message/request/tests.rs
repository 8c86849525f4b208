//! Tests of the validation of request heads.

use super::*;

type Lines = [(&'static str, &'static str)];

const HOST: (&str, &str) = ("Host", "a.example");

fn validate_line(
    line: &RequestLine<'static>,
    lines: &Lines,
) -> Result<ValidatedRequest<'static>, Reason> {
    let fields = lines
        .iter()
        .map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes()));
    ValidatedRequest::validate(line, fields, &Limits::default())
        .map_err(|rejection| rejection.reason)
}

fn line(version: Version, method: &'static str, target: &'static str) -> RequestLine<'static> {
    RequestLine {
        version,
        method: method.as_bytes(),
        target: target.as_bytes(),
        authority: None,
        ended: false,
    }
}

fn validate(
    method: &'static str,
    target: &'static str,
    lines: &Lines,
) -> Result<ValidatedRequest<'static>, Reason> {
    validate_line(&line(Version::Http11, method, target), lines)
}

fn refused(method: &'static str, lines: &Lines) -> Option<Reason> {
    validate(method, "/", lines).err()
}

#[test]
fn one_valid_host_is_needed() {
    assert_eq!(
        validate("GET", "/", &[HOST])
            .unwrap()
            .authority
            .unwrap()
            .as_str(),
        "a.example"
    );
    assert_eq!(refused("GET", &[]), Some(Reason::MissingHost));
    assert_eq!(refused("GET", &[HOST, HOST]), Some(Reason::DuplicateHost));
    for value in ["", "a b", "a,b", "a@b", "a/b"] {
        assert_eq!(
            refused("GET", &[("Host", value)]),
            Some(Reason::InvalidHost),
            "{value}"
        );
    }
}

#[test]
fn an_absolute_target_overrides_host_but_does_not_replace_it() {
    let target = "http://b.example/x";
    assert_eq!(
        validate("GET", target, &[HOST])
            .unwrap()
            .authority
            .unwrap()
            .as_str(),
        "b.example"
    );
    assert_eq!(
        validate("GET", target, &[]).err(),
        Some(Reason::MissingHost)
    );
    assert_eq!(
        validate("GET", target, &[("Host", "a b")]).err(),
        Some(Reason::InvalidHost)
    );
}

#[test]
fn http_1_0_needs_no_host() {
    assert!(
        validate_line(&line(Version::Http10, "GET", "/"), &[])
            .unwrap()
            .authority
            .is_none()
    );
    assert!(validate_line(&line(Version::Http10, "GET", "/"), &[HOST, HOST]).is_err());
}

#[test]
fn the_connection_is_kept_as_the_version_says() {
    let keep = |version, lines: &Lines| {
        validate_line(&line(version, "GET", "/"), lines)
            .unwrap()
            .keep_alive
    };
    assert!(keep(Version::Http11, &[HOST]));
    assert!(!keep(Version::Http11, &[HOST, ("Connection", "close")]));
    assert!(!keep(
        Version::Http11,
        &[HOST, ("Connection", "keep-alive"), ("Connection", "close")]
    ));
    assert!(!keep(Version::Http10, &[HOST]));
    assert!(keep(Version::Http10, &[HOST, ("Connection", "Keep-Alive")]));
    assert!(!keep(
        Version::Http10,
        &[HOST, ("Proxy-Connection", "keep-alive")]
    ));
}

const UPGRADE: [(&str, &str); 5] = [
    HOST,
    ("Connection", "keep-alive, Upgrade"),
    ("Upgrade", "WebSocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

#[test]
fn one_other_protocol_without_a_body_can_be_asked_for() {
    let ask = |method: &'static str, lines: &[(&'static str, &'static str)]| {
        validate(method, "/", &[&[("Host", "a")][..], lines].concat())
            .unwrap()
            .upgrade
    };
    let connection = ("Connection", "Upgrade");
    for (protocol, expected) in [
        ("tcp", Some(&b"tcp"[..])),
        ("SPDY/3.1", Some(b"SPDY/3.1")),
        ("websocket", None),
        ("tcp, other", None),
        ("a/", None),
        ("", None),
    ] {
        assert_eq!(
            ask("POST", &[connection, ("Upgrade", protocol)]),
            expected,
            "{protocol}"
        );
    }
    assert_eq!(ask("GET", &[("Upgrade", "tcp")]), None);
    assert_eq!(
        ask("GET", &[connection, ("Upgrade", "tcp"), ("Upgrade", "tcp")]),
        None
    );
    assert_eq!(
        ask(
            "POST",
            &[connection, ("Upgrade", "tcp"), ("Content-Length", "3")]
        ),
        None
    );
}

#[test]
fn only_a_whole_websocket_handshake_is_an_upgrade() {
    assert!(validate("GET", "/", &UPGRADE).unwrap().websocket);
    for (missing, line) in UPGRADE.iter().enumerate().skip(1) {
        let mut lines = UPGRADE.to_vec();
        lines.remove(missing);
        assert!(
            !validate("GET", "/", &lines).unwrap().websocket,
            "without {line:?}"
        );
    }
    assert!(!validate("POST", "/", &UPGRADE).unwrap().websocket);
    assert!(
        !validate_line(&line(Version::Http10, "GET", "/"), &UPGRADE)
            .unwrap()
            .websocket
    );
    for other in ["h2c", "websocket, h2c", "TLS/1.0", "websocket2", ""] {
        let mut lines = UPGRADE.to_vec();
        lines[2].1 = other;
        assert!(!validate("GET", "/", &lines).unwrap().websocket, "{other}");
    }
    for again in [("Upgrade", "h2c"), ("Upgrade", "websocket"), UPGRADE[3]] {
        assert!(
            !validate("GET", "/", &[&UPGRADE[..], &[again]].concat())
                .unwrap()
                .websocket,
            "{again:?}"
        );
    }
}

#[test]
fn an_upgrade_with_a_body_is_refused() {
    for (framing, verdict) in [
        (("Content-Length", "5"), Some(Reason::UpgradeWithBody)),
        (
            ("Transfer-Encoding", "chunked"),
            Some(Reason::UpgradeWithBody),
        ),
        (("Content-Length", "0"), None),
    ] {
        for method in ["GET", "POST"] {
            assert_eq!(
                refused(method, &[&UPGRADE[..], &[framing]].concat()),
                verdict,
                "{framing:?}"
            );
        }
    }
}

#[test]
fn one_expectation_is_known() {
    let length = ("Content-Length", "5");
    assert!(
        validate("POST", "/", &[HOST, length, ("Expect", "100-Continue")])
            .unwrap()
            .expects_continue
    );
    assert!(
        !validate("POST", "/", &[HOST, ("Expect", "100-continue")])
            .unwrap()
            .expects_continue
    );
    for other in ["", "200-ok", "100-continue, x", "100-continue;a"] {
        assert_eq!(
            refused("POST", &[HOST, length, ("Expect", other)]),
            Some(Reason::ExpectationFailed),
            "{other}"
        );
    }
    let old = validate_line(
        &line(Version::Http10, "POST", "/"),
        &[length, ("Expect", "x")],
    )
    .unwrap();
    assert!(!old.expects_continue);
}

#[test]
fn underscores_are_refused_unless_they_are_let_through() {
    for name in ["X_Forwarded_For", "content_length", "_", "mcp-a_b"] {
        assert_eq!(
            refused("GET", &[HOST, (name, "1")]),
            Some(Reason::UnderscoreName),
            "{name}"
        );
    }
    let limits = Limits {
        underscores: Underscores::Pass,
        ..Limits::default()
    };
    let fields =
        [HOST, ("a_b", "1")].map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes()));
    assert!(
        ValidatedRequest::validate(&line(Version::Http11, "GET", "/"), fields, &limits).is_ok()
    );
}

#[test]
fn sizes_are_limited() {
    let long = |text: &str, count: usize| -> &'static str {
        Box::leak(text.repeat(count).into_boxed_str())
    };
    assert!(validate(long("M", 32), "/", &[HOST]).is_ok());
    assert_eq!(
        validate(long("M", 33), "/", &[HOST]).err(),
        Some(Reason::MethodTooLong)
    );
    assert!(validate("GET", long("/", 16 * 1024), &[HOST]).is_ok());
    assert_eq!(
        validate("GET", long("/", 16 * 1024 + 1), &[HOST]).err(),
        Some(Reason::TargetTooLong)
    );
    let mut lines = vec![("a", "b"); 99];
    lines.push(HOST);
    assert!(validate("GET", "/", &lines).is_ok());
    lines.push(("a", "b"));
    assert_eq!(refused("GET", &lines), Some(Reason::TooManyFields));
}

#[test]
fn methods_are_tokens_and_connect_is_not_served() {
    assert_eq!(
        validate("PURGE", "/", &[HOST]).unwrap().method,
        Method::Other
    );
    assert_eq!(validate("get", "/", &[HOST]).unwrap().method, Method::Other);
    for method in ["PRI", "", "G T", "G\0", "G(", "G\u{e4}"] {
        assert_eq!(
            validate(method, "/", &[HOST]).err(),
            Some(Reason::InvalidMethod),
            "{method}"
        );
    }
    let rejection = ValidatedRequest::validate(
        &line(Version::Http11, "CONNECT", "a:1"),
        [],
        &Limits::default(),
    )
    .unwrap_err();
    assert_eq!(rejection.status, 405);
}

#[test]
fn http2_has_no_fields_of_a_connection() {
    let stream = RequestLine {
        authority: Some(b"a.example"),
        ended: true,
        ..line(Version::Http2, "GET", "/")
    };
    for bad in [
        ("connection", "close"),
        ("keep-alive", ""),
        ("proxy-connection", "a"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ] {
        assert_eq!(
            validate_line(&stream, &[bad]).err(),
            Some(Reason::ConnectionField),
            "{bad:?}"
        );
    }
    let facts = validate_line(&stream, &[("te", "trailers"), ("host", "b.example")]).unwrap();
    assert!(facts.accepts_trailers && facts.keep_alive);
    assert_eq!(facts.authority.unwrap().as_str(), "a.example");
    for target in [&b"http://b.example/"[..], b"http://b.example"] {
        let absolute = RequestLine { target, ..stream };
        assert_eq!(
            validate_line(&absolute, &[]).err(),
            Some(Reason::InvalidTarget)
        );
    }
    let nameless = RequestLine {
        authority: None,
        ..stream
    };
    assert_eq!(
        validate_line(&nameless, &[]).err(),
        Some(Reason::MissingHost)
    );
    assert!(validate_line(&nameless, &[("host", "a")]).is_ok());
    let odd = RequestLine {
        authority: Some(b"a b"),
        ..stream
    };
    assert_eq!(validate_line(&odd, &[]).err(), Some(Reason::InvalidHost));
}
