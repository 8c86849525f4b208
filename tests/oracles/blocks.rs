//! Our header compression: JSON lines in, JSON lines out, for `blocks.py`.
//!
//! In: `{"blocks": ["hex", …], "fields": [["name", "value"], …]}`, text as Latin-1. Out: the fields of each block and
//! the flaw of each, or the error that ended the connection; and `fields` as one block.

use std::io::{BufRead, Write, stdin, stdout};

use serde::Deserialize;
use serde_json::{Value, json};
use switchback::http2::hpack::{BlockLimits, Decoder, Encoder, FieldBlock};
use switchback::message::KnownField;

#[derive(Deserialize)]
struct Case {
    blocks: Vec<String>,
    fields: Vec<(String, String)>,
}

const WIDE: BlockLimits = BlockLimits {
    list: 1 << 24,
    fields: 1 << 20,
};

fn main() -> anyhow::Result<()> {
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line?)?;
        let (read, error) = read(&case.blocks)?;
        let answer = json!({ "read": read, "error": error, "written": write(&case.fields) });
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn read(blocks: &[String]) -> anyhow::Result<(Vec<Value>, Option<String>)> {
    let mut decoder = Decoder::new(4096);
    let mut into = FieldBlock::new();
    let mut read = Vec::new();
    for block in blocks {
        if let Err(error) = decoder.decode(&bytes(block)?, WIDE, &mut into) {
            return Ok((read, Some(error.to_string())));
        }
        let fields: Vec<_> = into
            .iter()
            .map(|field| (text(field.text), text(field.value)))
            .collect();
        let flaw = into.flaw().map(|flaw| format!("{flaw:?}"));
        read.push(json!({ "fields": fields, "flaw": flaw }));
    }
    Ok((read, None))
}

/// Everything that is not valid is left out.
fn write(fields: &[(String, String)]) -> String {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out);
    encoder.table_size_zero();
    for (name, value) in fields {
        let (name, value) = (latin(name), latin(value));
        match &name[..] {
            b":method" => encoder.method(&value),
            b":scheme" => encoder.scheme(&value),
            b":authority" => encoder.authority(&value),
            b":path" => encoder.path(&value),
            name => encoder.field(
                KnownField::of(name),
                name,
                &value,
                value.len().is_multiple_of(2),
            ),
        };
    }
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    out.iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn bytes(hex: &str) -> anyhow::Result<Vec<u8>> {
    let digits = hex.as_bytes().chunks_exact(2);
    digits
        .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
        .collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn latin(text: &str) -> Vec<u8> {
    text.chars()
        .map(|char| u8::try_from(char).unwrap_or(b'?'))
        .collect()
}
