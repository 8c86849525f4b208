//! HPACK (RFC 7541): an encoder of literals only, and a decoder of everything that a server may send.

use super::huffman;

/// A header block of literals that are not indexed, without Huffman codes.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes()))
        .collect()
}

/// One field as a literal.
pub(crate) fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0][..], &string(name), &string(value)].concat()
}

/// One field as a literal that is added to the dynamic table.
pub(crate) fn indexed_literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0x40][..], &string(name), &string(value)].concat()
}

fn string(text: &[u8]) -> Vec<u8> {
    let mut out = integer(0, 7, text.len());
    out.extend_from_slice(text);
    out
}

/// An integer with a prefix of `bits` bits under `flags`.
pub(crate) fn integer(flags: u8, bits: u8, number: usize) -> Vec<u8> {
    let most = (1_usize << bits) - 1;
    let byte = |number: usize| u8::try_from(number).unwrap();
    if number < most {
        return vec![flags | byte(number)];
    }
    let mut out = vec![flags | byte(most)];
    let mut rest = number - most;
    while rest >= 128 {
        out.push(byte(rest % 128 + 128));
        rest /= 128;
    }
    out.push(byte(rest));
    out
}

/// A decoder of header blocks, with their dynamic table.
#[derive(Default)]
pub(crate) struct Decoder {
    table: Vec<(String, String)>,
}

const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

struct Cursor<'b> {
    bytes: &'b [u8],
}

// === impl Decoder ===

impl Decoder {
    /// Reads one block; `None` if it is malformed.
    pub(crate) fn decode(&mut self, block: &[u8]) -> Option<Vec<(String, String)>> {
        let mut cursor = Cursor { bytes: block };
        let mut fields = Vec::new();
        while let Some(&first) = cursor.bytes.first() {
            match first {
                0x80.. => fields.push(self.entry(cursor.integer(7)?)?),
                0x40..=0x7f => {
                    let field = self.literal(&mut cursor, 6)?;
                    self.table.insert(0, field.clone());
                    fields.push(field);
                }
                0x20..=0x3f => _ = cursor.integer(5)?,
                _ => fields.push(self.literal(&mut cursor, 4)?),
            }
        }
        Some(fields)
    }

    fn entry(&self, index: usize) -> Option<(String, String)> {
        let index = index.checked_sub(1)?;
        match STATIC.get(index) {
            Some((name, value)) => Some(((*name).into(), (*value).into())),
            None => self.table.get(index - STATIC.len()).cloned(),
        }
    }

    fn literal(&self, cursor: &mut Cursor<'_>, bits: u8) -> Option<(String, String)> {
        let name = match cursor.integer(bits)? {
            0 => cursor.string()?,
            index => self.entry(index)?.0,
        };
        Some((name, cursor.string()?))
    }
}

// === impl Cursor ===

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn integer(&mut self, bits: u8) -> Option<usize> {
        let most = (1_usize << bits) - 1;
        let mut number = usize::from(self.byte()?) & most;
        if number < most {
            return Some(number);
        }
        for shift in (0..28).step_by(7) {
            let byte = usize::from(self.byte()?);
            number += (byte & 127) << shift;
            if byte < 128 {
                return Some(number);
            }
        }
        None
    }

    fn string(&mut self) -> Option<String> {
        let is_huffman = self.bytes.first()? & 0x80 != 0;
        let length = self.integer(7)?;
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        let text = if is_huffman {
            huffman::decode(text)
        } else {
            text.to_vec()
        };
        Some(text.escape_ascii().to_string())
    }
}

#[test]
fn blocks_are_read_as_they_are_written() {
    let fields = [(":status", "200"), ("x-long", &"v".repeat(300))];
    let read = Decoder::default().decode(&block(&fields)).unwrap();
    assert_eq!(read[1].1.len(), 300);
    let mut decoder = Decoder::default();
    assert_eq!(
        decoder.decode(&indexed_literal(b"a", b"b")).unwrap(),
        decoder.decode(&[0xbe]).unwrap()
    );
}
