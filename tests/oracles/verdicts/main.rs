//! The readings of byte strings by switchback's codec and by hyper: JSON lines in, JSON lines out, for `main.py`.
//!
//! In: `{"id": 1, "kind": "request" | "response", "asked": "GET" | "HEAD", "hex": "…"}`. Out: the id, both readings,
//! the bytes that switchback would forward, and whether its verdict was the same for every way to cut the bytes.

mod hyper;
mod message;
mod ours;

use std::io::{BufRead, Write, stdin, stdout};

use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Case {
    id: u64,
    kind: Kind,
    asked: String,
    hex: String,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Request,
    Response,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line?)?;
        let bytes = bytes(&case.hex)?;
        let verdict = match case.kind {
            Kind::Request => ours::request(&bytes),
            Kind::Response => ours::response(&bytes, &case.asked),
        };
        let theirs = match case.kind {
            Kind::Request => runtime.block_on(hyper::request(&bytes)),
            Kind::Response => runtime.block_on(hyper::response(&bytes, &case.asked)),
        };
        let answer = json!({
            "id": case.id,
            "ours": verdict.reading,
            "sent": message::text(&verdict.sent),
            "forwarded": verdict.forwarded,
            "cuts_agree": ours::cuts_agree(&bytes, case.kind == Kind::Request, &case.asked, &verdict),
            "hyper": theirs,
        });
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn bytes(hex: &str) -> anyhow::Result<Vec<u8>> {
    let digits = hex.as_bytes().chunks_exact(2);
    digits
        .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
        .collect()
}
