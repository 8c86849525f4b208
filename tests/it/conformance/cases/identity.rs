//! The identity of the client: forwarding fields, the PROXY protocol, loops, traces.

use super::{get, seen_get};
use crate::conformance::case::{After, Case, Listener, Request, case, status};

pub(super) fn cases() -> Vec<Case> {
    [spoofed(), trusted(), proxy_protocol(), loops(), traces()]
        .into_iter()
        .flatten()
        .collect()
}

/// Claims of an untrusted client about itself.
fn spoofed() -> Vec<Case> {
    vec![
        case("identity-plain", &[6])
            .send(get(""))
            .passes(seen_get(&[]).added("x-forwarded-host", "a.example")),
        case("identity-spoofed-for", &[6])
            .send(get("X-Forwarded-For: 1.2.3.4\r\n"))
            .passes(seen_get(&[])),
        case("identity-spoofed-for-twice", &[6])
            .send(get(
                "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\n",
            ))
            .passes(seen_get(&[])),
        case("identity-spoofed-for-odd", &[6])
            .send(get("X-Forwarded-For: \"><script>, unknown\r\n"))
            .passes(seen_get(&[])),
        case("identity-spoofed-proto", &[6])
            .send(get("X-Forwarded-Proto: https\r\n"))
            .passes(seen_get(&[])),
        case("identity-spoofed-host", &[6])
            .send(get("X-Forwarded-Host: private.example\r\n"))
            .passes(seen_get(&[]).added("x-forwarded-host", "a.example")),
        case("identity-spoofed-real-ip", &[6])
            .send(get("X-Real-IP: 1.2.3.4\r\n"))
            .passes(seen_get(&[])),
        case("identity-spoofed-forwarded", &[6])
            .send(get("Forwarded: for=1.2.3.4;proto=https\r\n"))
            .passes(seen_get(&[]).added("forwarded", "!1.2.3.4")),
        case("identity-spoofed-all-in-lower-case", &[6])
            .send(get(
                "x-forwarded-proto: https\r\nx-real-ip: 1.2.3.4\r\nforwarded: for=1.2.3.4\r\n",
            ))
            .passes(seen_get(&[]).added("forwarded", "!1.2.3.4")),
    ]
}

/// Claims of a trusted proxy about its client.
fn trusted() -> Vec<Case> {
    let trusting = |name: &str, fields: &str, seen: Request| {
        case(name, &[6])
            .listener(Listener::Trusting)
            .send(get(fields))
            .passes(seen)
    };
    vec![
        trusting(
            "trusted-for",
            "X-Forwarded-For: 1.2.3.4\r\n",
            seen_get(&[]).added("x-forwarded-for", "1.2.3.4, 127.0.0.1"),
        ),
        trusting(
            "trusted-proto",
            "X-Forwarded-Proto: https\r\n",
            seen_get(&[]).added("x-forwarded-proto", "https"),
        ),
        trusting(
            "trusted-host",
            "X-Forwarded-Host: b.example\r\n",
            seen_get(&[]).added("x-forwarded-host", "b.example"),
        ),
        trusting("trusted-but-silent", "", seen_get(&[])),
    ]
}

/// A header of the PROXY protocol, version 2.
fn header(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n",
        &[command, family][..],
        &length,
        addresses,
    ]
    .concat()
}

fn proxy_protocol() -> Vec<Case> {
    let listener =
        |name: &str| case(format!("proxy-protocol-{name}"), &[6]).listener(Listener::ProxyProtocol);
    let four = [192, 0, 2, 7, 192, 0, 2, 1, 0x1f, 0x90, 0, 80];
    let six = [
        [0x20, 1, 0xd, 0xb8].as_slice(),
        &[0; 11],
        &[1],
        &[0; 15],
        &[1],
        &[1, 2, 0, 80],
    ]
    .concat();
    let with = |header: &[u8]| [header, get("").as_bytes()].concat();
    let from = |address: &str| {
        seen_get(&[])
            .added("x-forwarded-for", address)
            .added("x-real-ip", address)
    };
    let one = |client: Case, seen: Request| {
        client
            .gets(status(&[200]).body("ok"))
            .sees(seen)
            .then(After::Open)
    };
    let tlv = [&four[..], &[4, 0, 3, 1, 2, 3]].concat();
    let refused = |case: Case| case.gets(status(&[400]).or_nothing()).then(After::Closed);
    let v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 8080 80\r\n";
    vec![
        one(
            listener("4").send(with(&header(0x21, 0x11, &four))),
            from("192.0.2.7"),
        )
        .probed_by("192.0.2.7"),
        one(
            listener("6").send(with(&header(0x21, 0x21, &six))),
            from("2001:db8::1"),
        )
        .probed_by("2001:db8::1"),
        one(
            listener("tlv").send(with(&header(0x21, 0x11, &tlv))),
            from("192.0.2.7"),
        )
        .probed_by("192.0.2.7"),
        one(
            listener("local").send(with(&header(0x20, 0, &[]))),
            from("127.0.0.1"),
        ),
        refused(listener("missing").send(get(""))),
        one(listener("version-1").send(with(v1)), from("192.0.2.7")).probed_by("192.0.2.7"),
        refused(listener("version-1-short").send(with(b"PROXY TCP4 192.0.2.7\r\n"))),
        refused(listener("bad-version").send(with(&header(0x31, 0x11, &four)))),
        refused(listener("bad-command").send(with(&header(0x2f, 0x11, &four)))),
        refused(listener("too-short").send(with(&header(0x21, 0x11, &four[..8])))),
        refused(
            listener("cut")
                .send(&header(0x21, 0x11, &four)[..14])
                .shut(),
        ),
    ]
}

fn loops() -> Vec<Case> {
    let looped = |name: &str, via: &str| {
        case(format!("loop-{name}"), &[27])
            .send(get(&format!("Via: {via}\r\n")))
            .gets(status(&[508]))
            .then(After::Any)
    };
    let other = "1.1 other, 1.0 another (switchback)";
    vec![
        looped("itself", "1.1 switchback"),
        looped("old", "1.0 switchback"),
        looped("http2", "2.0 switchback"),
        looped("with-protocol", "HTTP/1.1 switchback"),
        looped("last", "1.1 other, 1.1 switchback"),
        looped("first", "1.1 switchback, 1.1 other"),
        looped("comment", "1.1 switchback (v1)"),
        looped("capitals", "1.1 Switchback"),
        looped("many-lines", "1.1 other\r\nVia: 1.1 switchback"),
        case("loop-other", &[27])
            .send(get(&format!("Via: {other}\r\n")))
            .passes(seen_get(&[]).added("via", &format!("{other}, 1.1 switchback"))),
        case("loop-almost", &[27])
            .send(get("Via: 1.1 switchback2\r\n"))
            .passes(seen_get(&[]).added("via", "1.1 switchback2, 1.1 switchback")),
        case("impersonation-release", &[27])
            .send(get("X-Switchback-Release: private\r\n"))
            .passes(seen_get(&[])),
        case("impersonation-any", &[27])
            .send(get("x-switchback-reason: x\r\nX-SWITCHBACK-Other: y\r\n"))
            .passes(seen_get(&[])),
    ]
}

fn traces() -> Vec<Case> {
    let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let odd = |name: &str, value: &str| {
        case(format!("trace-odd-{name}"), &[27])
            .send(get(&format!("traceparent: {value}\r\n")))
            .passes(seen_get(&[]).added("traceparent", &format!("!{value}")))
    };
    vec![
        case("trace-valid", &[27])
            .send(get(&format!("traceparent: {valid}\r\n")))
            .passes(seen_get(&[]).added("traceparent", "00-0af7651916cd43dd8448eb211c80319c-*")),
        odd("text", "hello"),
        odd(
            "zero-trace",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ),
        odd(
            "version-ff",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        odd("too-long", &format!("{valid}-extra-that-goes-on-and-on")),
    ]
}
