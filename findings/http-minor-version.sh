#!/usr/bin/env bash
# Parsers of HTTP/1.1 refuse a higher minor version, which RFC 9110 would have them read as HTTP/1.1.
#
# Versions: httptools 0.6.4 (llhttp, the parser of Node), h11 0.16.0, httparse 1.10.1 (the parser of hyper).
# RFC 9110, 2.5: with a known major and a higher minor version, a recipient SHOULD process the message as the highest
# minor version that it conforms to.
# h11 does; the two that most servers of Node and Rust are built on refuse the request line.
# A proxy that forwards a version as it came, rather than its own, therefore gets 400 from these.
# Seen:
#   h11: accepted
#   llhttp: refused
#   httparse: refused
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
httparse = "=1.10.1"
TOML
cat >src/main.rs <<'RUST'
fn main() {
    let mut fields = [httparse::EMPTY_HEADER; 4];
    let read = httparse::Request::new(&mut fields).parse(b"GET / HTTP/1.2\r\nHost: a\r\n\r\n");
    println!("httparse: {}", if read.is_ok() { "accepted" } else { "refused" });
}
RUST
cat >parsers.py <<'PYTHON'
import h11, httptools

REQUEST = b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"

connection = h11.Connection(h11.SERVER)
connection.receive_data(REQUEST)
try:
    print("h11:", "accepted" if isinstance(connection.next_event(), h11.Request) else "refused")
except h11.RemoteProtocolError:
    print("h11: refused")

try:
    httptools.HttpRequestParser(object()).feed_data(REQUEST)
    print("llhttp: accepted")
except httptools.HttpParserError:
    print("llhttp: refused")
PYTHON
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check httptools==0.6.4 h11==0.16.0
seen=$(venv/bin/python parsers.py && cargo run --quiet)
echo "$seen"
[ "$seen" = 'h11: accepted
llhttp: refused
httparse: refused' ]
