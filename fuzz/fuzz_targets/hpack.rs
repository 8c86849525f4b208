//! Header compression: blocks on one connection, under limits and without; and again after they were written anew.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchback_fuzz::http2::hpack::{
    BlockLimits, DecodeError, Decoder, Encoder, FieldBlock, FieldError, Name,
};

const WIDE: BlockLimits = BlockLimits {
    list: 1 << 24,
    fields: 1 << 20,
};

fuzz_target!(|data: &[u8]| {
    let [list, fields, rest @ ..] = data else {
        return;
    };
    let mut rest = rest;
    let limits = BlockLimits {
        list: usize::from(*list) * 16,
        fields: usize::from(*fields % 32),
    };
    let (mut narrow, mut wide) = (Decoder::new(4096), Decoder::new(4096));
    let (mut some, mut all) = (FieldBlock::new(), FieldBlock::new());
    while let [length, more @ ..] = rest {
        let (bytes, after) = more.split_at(more.len().min(usize::from(*length)));
        rest = after;
        let decoded = narrow.decode(bytes, limits, &mut some);
        let size = some
            .iter()
            .map(|field| field.text.len() + field.value.len() + 32);
        assert!(size.sum::<usize>() <= limits.list && some.len() <= limits.fields);
        assert!(decoded.is_ok() || some.is_empty());
        if decoded == Err(DecodeError::Excess) {
            return;
        }
        // Limits change nothing about the table.
        assert_eq!(decoded, wide.decode(bytes, WIDE, &mut all));
        if decoded.is_err() {
            return;
        }
        assert!(some.iter().eq(all.iter().take(some.len())));
        match some.flaw() {
            None => assert!(some.len() == all.len() && all.flaw().is_none()),
            Some(FieldError::TooLong | FieldError::TooMany) => {}
            flaw => assert_eq!(flaw, all.flaw()),
        }
        write_anew(&all);
    }
});

/// Everything that was read can be written, and is then read as the same fields.
fn write_anew(block: &FieldBlock) {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out);
    encoder.table_size_zero();
    let mut written = Vec::new();
    for field in block {
        let is_written = match field.name {
            // Stricter than a value of any field has to be.
            Name::Method => encoder.method(field.value),
            Name::Scheme => encoder.scheme(field.value),
            Name::Authority => encoder.authority(field.value),
            Name::Path => encoder.path(field.value),
            Name::Field(known) => {
                let never_indexed = field.value.len() % 2 == 0;
                assert!(encoder.field(known, field.text, field.value, never_indexed));
                true
            }
            Name::Status | Name::Protocol | Name::UnknownPseudo => false,
        };
        if is_written {
            written.push(field);
        }
    }
    let mut again = FieldBlock::new();
    let decoded = Decoder::new(4096).decode(&out, WIDE, &mut again);
    assert_eq!((decoded, again.flaw()), (Ok(()), None));
    assert!(again.iter().eq(written));
}
