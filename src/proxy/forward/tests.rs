//! Tests of the fields that the endpoint gets.

use std::net::Ipv4Addr;

use super::*;
use crate::message::{Limits, Reason, Underscores};
use crate::proxy::http1_client::validate;

#[derive(Default)]
struct Lines(Vec<(String, String)>);

impl FieldSink for Lines {
    fn field(&mut self, field: &Field<'_>) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        self.0
            .push((text(field.name).to_lowercase(), text(field.value)));
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        self.field(&Field::new(name.as_bytes(), value));
    }
}

impl Lines {
    fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    fn one(&self, name: &str) -> &str {
        let [value] = self.all(name)[..] else {
            panic!("{name}: {:?}", self.all(name))
        };
        value
    }
}

fn forwarded(head: &str, client: &str, is_trusted: bool) -> Lines {
    let head = format!("GET /x HTTP/1.1\r\nHost: agents.test:8080\r\n{head}\r\n");
    forwarded_as(
        &head,
        (client, is_trusted),
        Some("switchback"),
        Some((3, 4)),
    )
}

fn forwarded_as(
    head: &str,
    (client, is_trusted): (&str, bool),
    via: Option<&str>,
    trace: Option<(u64, u64)>,
) -> Lines {
    let limits = Limits {
        underscores: Underscores::Refuse,
        ..Limits::default()
    };
    validate(head.as_bytes(), &limits, |parts| {
        let peer = PeerInfo {
            client: client.parse().unwrap(),
            is_trusted,
            is_secure: true,
            is_own: false,
        };
        let id = RequestId::of(parts, is_trusted, || (1, 2));
        let forwarding = Forwarding {
            hides_key: false,
            peer,
            id: &id,
            via,
            host: None,
            trace,
            span: None,
            pins: None,
            flags: None,
            changes: None,
            is_card: false,
            hides_authorization: false,
        };
        let mut lines = Lines::default();
        write_request(&mut lines, parts, &forwarding, &mut Vec::new());
        lines
    })
    .unwrap()
}

#[test]
fn the_client_is_named_in_every_dialect() {
    let lines = forwarded("", "203.0.113.7:999", false);
    assert_eq!(lines.one("host"), "agents.test:8080");
    assert_eq!(lines.one("x-forwarded-for"), "203.0.113.7");
    assert_eq!(lines.one("x-real-ip"), "203.0.113.7");
    assert_eq!(lines.one("x-forwarded-proto"), "https");
    assert_eq!(lines.one("x-forwarded-host"), "agents.test:8080");
    assert_eq!(
        lines.one("forwarded"),
        "for=203.0.113.7;host=\"agents.test:8080\";proto=https"
    );
    assert_eq!(lines.one("via"), "1.1 switchback");
    assert_eq!(lines.one("x-request-id").len(), 32);
    let six = forwarded("", "[2001:db8::1]:9", false);
    assert_eq!(
        six.one("forwarded"),
        "for=\"[2001:db8::1]\";host=\"agents.test:8080\";proto=https"
    );
    assert_eq!(six.one("x-real-ip"), "2001:db8::1");
}

#[test]
fn forged_fields_of_a_stranger_are_overwritten() {
    let forged = "X-Forwarded-For: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Forwarded-Proto: http\r\n\
        X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Forwarded-User: root\r\nForwarded: for=1.2.3.4\r\n\
        X-Request-Id: mine\r\nX-Switchback-Release: green\r\nVia: 1.0 edge\r\n";
    let stranger = forwarded(forged, "203.0.113.7:9", false);
    assert_eq!(stranger.one("x-forwarded-for"), "203.0.113.7");
    assert_eq!(stranger.one("x-real-ip"), "203.0.113.7");
    assert_eq!(stranger.one("x-forwarded-proto"), "https");
    assert_eq!(stranger.one("x-forwarded-host"), "agents.test:8080");
    assert!(stranger.one("forwarded").starts_with("for=203.0.113.7;"));
    assert_ne!(stranger.one("x-request-id"), "mine");
    for gone in [
        "x-forwarded-port",
        "x-forwarded-user",
        "x-switchback-release",
    ] {
        assert!(stranger.all(gone).is_empty(), "{gone}");
    }
    assert_eq!(stranger.one("via"), "1.0 edge, 1.1 switchback");

    let trusted = forwarded(forged, "10.0.0.1:9", true);
    assert_eq!(trusted.one("x-forwarded-for"), "1.2.3.4, 10.0.0.1");
    assert_eq!(trusted.one("x-real-ip"), "1.2.3.4");
    assert_eq!(trusted.one("x-forwarded-proto"), "http");
    assert_eq!(trusted.one("x-forwarded-host"), "evil");
    assert!(
        trusted
            .one("forwarded")
            .starts_with("for=1.2.3.4, for=10.0.0.1;")
    );
    assert_eq!(trusted.one("x-request-id"), "mine");
    assert!(trusted.all("x-switchback-release").is_empty());
}

#[test]
fn fields_of_one_connection_end_here_and_protected_ones_cannot_be_nominated() {
    let lines = forwarded(
        "Connection: keep-alive, X-Drop, Authorization, X-Forwarded-For\r\nX-Drop: 1\r\nKeep-Alive: 5\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: x\r\nProxy-Authorization: p\r\nTE: trailers\r\nAuthorization: token\r\nAccept: */*\r\n",
        "203.0.113.7:9",
        false,
    );
    for gone in [
        "connection",
        "x-drop",
        "keep-alive",
        "upgrade",
        "http2-settings",
        "proxy-authorization",
    ] {
        assert!(lines.all(gone).is_empty(), "{gone}");
    }
    assert_eq!(lines.one("authorization"), "token");
    assert_eq!(lines.one("accept"), "*/*");
    assert_eq!(lines.one("te"), "trailers");
    assert_eq!(lines.one("x-forwarded-for"), "203.0.113.7");
}

#[test]
fn where_traces_are_made_a_valid_one_passes_and_any_other_is_replaced_unsampled() {
    let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let lines = forwarded(
        &format!("traceparent: {valid}\r\ntracestate: a=b\r\n"),
        "1.1.1.1:1",
        false,
    );
    assert_eq!(lines.one("traceparent"), valid);
    assert_eq!(lines.one("tracestate"), "a=b");
    for odd in [
        "00-x",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "",
        "00-0-0-01",
    ] {
        let lines = forwarded(
            &format!("traceparent: {odd}\r\ntracestate: a=b\r\n"),
            "1.1.1.1:1",
            false,
        );
        assert!(is_traceparent(lines.one("traceparent").as_bytes()), "{odd}");
        assert_ne!(lines.one("traceparent"), odd);
        assert!(
            lines.one("traceparent").ends_with("-00"),
            "nobody records it"
        );
        assert!(lines.all("tracestate").is_empty(), "{odd}");
    }
}

#[test]
fn without_a_key_nothing_is_said_about_traces_and_nothing_is_touched() {
    let pass = |fields: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        forwarded_as(&head, ("1.1.1.1:1", false), None, None)
    };
    assert!(pass("").all("traceparent").is_empty());
    for value in [
        "00-x",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        let lines = pass(&format!("traceparent: {value}\r\ntracestate: a=b\r\n"));
        assert_eq!(lines.one("traceparent"), value);
        assert_eq!(lines.one("tracestate"), "a=b");
    }
}

#[test]
fn who_is_not_to_be_seen_in_via_leaves_it_as_it_came() {
    let pass = |fields: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        forwarded_as(&head, ("1.1.1.1:1", false), None, None)
    };
    assert!(pass("").all("via").is_empty());
    assert_eq!(pass("Via: 1.0 edge\r\n").one("via"), "1.0 edge");
}

#[test]
fn a_trace_and_an_options_go_one_hop_less_and_nothing_else_does() {
    for (method, value, expected) in [
        ("TRACE", "3", "2"),
        ("OPTIONS", "1", "0"),
        ("OPTIONS", "x", "x"),
        ("GET", "3", "3"),
    ] {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {value}\r\n\r\n");
        let lines = forwarded_as(&head, ("1.1.1.1:1", false), None, None);
        assert_eq!(lines.one("max-forwards"), expected, "{method} {value}");
    }
}

#[test]
fn names_with_an_underscore_are_refused() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX_Real_IP: 1.2.3.4\r\n\r\n";
    let refused = validate(head, &Limits::default(), |_| ()).unwrap_err();
    assert_eq!(refused.reason, Reason::UnderscoreName);
}

#[test]
fn empty_fields_of_a_trusted_proxy_leave_no_empty_element() {
    let lines = forwarded(
        "X-Forwarded-For:\r\nForwarded: \r\nVia:\r\n",
        "203.0.113.7:999",
        true,
    );
    assert_eq!(lines.one("x-forwarded-for"), "203.0.113.7");
    assert_eq!(lines.one("via"), "1.1 switchback");
    assert!(lines.one("forwarded").starts_with("for=203.0.113.7;"));
    let lines = forwarded(
        "X-Forwarded-For: \r\nX-Forwarded-For: 192.0.2.1\r\n",
        "203.0.113.7:999",
        true,
    );
    assert_eq!(lines.one("x-forwarded-for"), "192.0.2.1, 203.0.113.7");
}

#[test]
fn addresses_and_numbers_are_written_as_the_formatter_would() {
    for address in [
        "0.0.0.0",
        "1.20.255.100",
        "127.0.0.1",
        "::1",
        "2001:db8::ff",
    ] {
        let text = Address::of(address.parse().unwrap());
        assert_eq!(text.text(), address.as_bytes());
    }
    for octet in 0..=255 {
        let address = Ipv4Addr::new(octet, 255 - octet, octet / 2, octet / 26);
        assert_eq!(
            Address::of(address.into()).text(),
            address.to_string().as_bytes()
        );
    }
    for number in [
        0,
        1,
        u128::MAX,
        0x0123_4567_89ab_cdef_fedc_ba98_7654_3210,
        0xf0 << 64,
    ] {
        assert_eq!(hex(number), format!("{number:032x}").as_bytes());
    }
}
