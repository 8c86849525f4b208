#!/usr/bin/env bash
# tracing-subscriber: of an event's fields, the one named `message` is printed raw, line breaks and all.
#
# Versions: tracing 0.1.44, tracing-subscriber 0.3.23, the default text format.
# Strings in other fields are quoted and escaped, so one event is one line; a text in `message` that came from elsewhere
# makes several, and the later ones look as it likes.
# Control sequences of terminals are escaped in either; the line break is not.
# Seen:
#   reason: 1 line(s)
#   message: 2 line(s)
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
tracing = "=0.1.44"
tracing-subscriber = "=0.3.23"
TOML
cat >src/main.rs <<'RUST'
fn main() {
    let text = "first\nsecond";
    tracing_subscriber::fmt().with_ansi(false).init();
    match std::env::args().nth(1).as_deref() {
        Some("reason") => tracing::info!(reason = text),
        _ => tracing::info!(message = text),
    }
}
RUST
cargo build --quiet
for field in reason message; do
    echo "$field: $(target/debug/finding $field | wc -l) line(s)"
done | tee seen
[ "$(cat seen)" = 'reason: 1 line(s)
message: 2 line(s)' ]
