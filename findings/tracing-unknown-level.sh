#!/usr/bin/env bash
# tracing-subscriber: `EnvFilter` takes a level that it does not know for the name of a module, and logs nothing.
#
# Versions: tracing 0.1.44, tracing-subscriber 0.3.23.
# One would expect that `warning` is either `warn` or an error, as for `Level::from_str`.
# But it parses: it means all levels of a module `warning`, and turns everything else off, errors included.
# Seen:
#   warn: parsed, error lines 1
#   warning: parsed, error lines 0
#   Level::from_str("warning"): error
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
tracing-subscriber = { version = "=0.3.23", features = ["env-filter"] }
TOML
cat >src/main.rs <<'RUST'
use std::io::Write;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn main() {
    for word in ["warn", "warning"] {
        let Ok(filter) = tracing_subscriber::EnvFilter::try_new(word) else {
            println!("{word}: refused");
            continue;
        };
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || writer.clone());
        tracing::subscriber::with_default(log.finish(), || tracing::error!("the disk is full"));
        let count = lines.0.lock().unwrap().iter().filter(|byte| **byte == b'\n').count();
        println!("{word}: parsed, error lines {count}");
    }
    let level = if "warning".parse::<tracing::Level>().is_ok() { "a level" } else { "error" };
    println!("Level::from_str(\"warning\"): {level}");
}
RUST
seen=$(cargo run --quiet)
echo "$seen"
[ "$seen" = 'warn: parsed, error lines 1
warning: parsed, error lines 0
Level::from_str("warning"): error' ]
