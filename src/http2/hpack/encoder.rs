//! HPACK encoder without a dynamic table: fields to header blocks.

use super::block::Name;
use super::integer;
use super::table::STATIC;
use crate::message::{KnownField, is_field_value, is_target, is_token, trim};

/// Appends the fields of one header block to a buffer.
///
/// It validates its input again: a function that returns `false` has written nothing, since
/// the field would be invalid.
#[derive(Debug)]
pub struct Encoder<'o> {
    out: &'o mut Vec<u8>,
    list: usize,
}

/// Overhead of a field in the list size (RFC 9113, section 6.5.2).
const FIELD: usize = 32;

const DIGITS: &[u8; 10] = b"0123456789";

/// Literal without indexing, and literal that intermediaries must never index (RFC 7541, section 6.2).
const LITERAL: u8 = 0x00;
const NEVER_INDEXED: u8 = 0x10;
const INDEXED: u8 = 0x80;
const TABLE_SIZE: u8 = 0x20;

const AUTHORITY: usize = 1;
const METHOD: usize = 2;
const PATH: usize = 4;
const SCHEME: usize = 6;
const STATUS: usize = 8;

/// Static table index of each known name; 0 if it has none.
static INDICES: [u8; KnownField::Other as usize + 1] = {
    let mut indices = [0; KnownField::Other as usize + 1];
    let mut index: u8 = 1;
    while index as usize <= STATIC_ROWS {
        if let Name::Field(known) = STATIC[index as usize - 1].name
            && known as usize != KnownField::Other as usize
        {
            indices[known as usize] = index;
        }
        index += 1;
    }
    indices
};

const STATIC_ROWS: usize = 61;

// === impl Encoder ===

impl<'o> Encoder<'o> {
    /// Creates an encoder that appends to `out`.
    pub const fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, list: 0 }
    }

    /// List size of the written fields, as limits count it.
    pub const fn list(&self) -> usize {
        self.list
    }

    const fn count(&mut self, name: usize, value: usize) {
        self.list += name + value + FIELD;
    }

    /// Sets the table size to 0. Sent at the start of a connection's first block; then the peer's table
    /// size settings need no reply.
    pub fn table_size_zero(&mut self) {
        self.out.push(TABLE_SIZE);
    }

    /// Writes `:status`, three digits.
    pub fn status(&mut self, status: u16) {
        self.count(":status".len(), 3);
        let index = match status {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                let digit = |unit: u16| DIGITS[usize::from(status / unit % 10)];
                self.literal(STATUS, &[digit(100), digit(10), digit(1)]);
                return;
            }
        };
        self.out.push(INDEXED | index);
    }

    /// Writes `:method`, a token.
    pub fn method(&mut self, method: &[u8]) -> bool {
        self.count(":method".len(), method.len());
        match method {
            b"GET" => self.out.push(INDEXED | 2),
            b"POST" => self.out.push(INDEXED | 3),
            _ if is_token(method) => self.literal(METHOD, method),
            _ => return false,
        }
        true
    }

    /// Writes `:scheme`.
    pub fn scheme(&mut self, scheme: &[u8]) -> bool {
        self.count(":scheme".len(), scheme.len());
        match scheme {
            b"http" => self.out.push(INDEXED | 6),
            b"https" => self.out.push(INDEXED | 7),
            _ if is_token(scheme) => self.literal(SCHEME, scheme),
            _ => return false,
        }
        true
    }

    /// Writes `:protocol`, a token, of a CONNECT (RFC 8441).
    pub fn protocol(&mut self, protocol: &[u8]) -> bool {
        const NAME: &[u8] = b":protocol";
        self.count(NAME.len(), protocol.len());
        let is_valid = is_token(protocol);
        if is_valid {
            self.out.push(LITERAL);
            self.string(NAME);
            self.string(protocol);
        }
        is_valid
    }

    /// Writes `:authority`, which is not empty and has no spaces and no controls.
    pub fn authority(&mut self, authority: &[u8]) -> bool {
        self.count(":authority".len(), authority.len());
        let is_valid = !authority.is_empty() && is_target(authority);
        if is_valid {
            self.literal(AUTHORITY, authority);
        }
        is_valid
    }

    /// Writes `:path`, which is not empty and can be sent as a target.
    pub fn path(&mut self, path: &[u8]) -> bool {
        self.count(":path".len(), path.len());
        match path {
            b"/" => self.out.push(INDEXED | 4),
            _ if !path.is_empty() && is_target(path) => self.literal(PATH, path),
            _ => return false,
        }
        true
    }

    /// Writes a field: its name in lower case, its value without surrounding whitespace. `known` is the classified
    /// name; `never_indexed` asks all recipients to keep the value out of their tables.
    ///
    /// Writes nothing and returns `false` if the name is no token or the value is invalid.
    pub fn field(
        &mut self,
        known: KnownField,
        name: &[u8],
        value: &[u8],
        never_indexed: bool,
    ) -> bool {
        if !is_field_value(value) {
            return false;
        }
        let flags = if never_indexed {
            NEVER_INDEXED
        } else {
            LITERAL
        };
        let value = trim(value);
        self.count(name.len(), value.len());
        self.out.reserve(name.len() + value.len() + 8);
        match (INDICES[known as usize], known.as_str()) {
            (0, Some(name)) => {
                self.out.push(flags);
                self.string(name.as_bytes());
            }
            (0, None) if is_token(name) => {
                self.out.push(flags);
                self.string(name);
                let start = self.out.len() - name.len();
                self.out[start..].make_ascii_lowercase();
            }
            (0, None) => return false,
            (index, _) => integer::write(self.out, flags, 4, usize::from(index)),
        }
        self.string(value);
        true
    }

    /// Writes a field whose name is in the static table.
    fn literal(&mut self, index: usize, value: &[u8]) {
        integer::write(self.out, LITERAL, 4, index);
        self.string(value);
    }

    #[inline]
    fn string(&mut self, text: &[u8]) {
        integer::write(self.out, 0, 7, text.len());
        self.out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BlockLimits, Decoder, FieldBlock, FieldError};
    use super::*;

    fn encode(write: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Encoder::new(&mut out));
        out
    }

    /// The fields as a decoder sees them, with classified names.
    fn decode(block: &[u8]) -> Vec<(Name, String, String)> {
        let limits = BlockLimits {
            list: 1 << 20,
            fields: 1000,
        };
        let mut into = FieldBlock::new();
        Decoder::new(4096).decode(block, limits, &mut into).unwrap();
        assert_eq!(into.flaw(), None);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        into.iter()
            .map(|field| (field.name, text(field.text), text(field.value)))
            .collect()
    }

    #[test]
    fn the_list_is_as_long_as_its_reader_counts_it() {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out);
        assert!(encoder.method(b"GET") && encoder.scheme(b"https") && encoder.path(b"/a"));
        assert!(encoder.authority(b"agents.test") && encoder.protocol(b"websocket"));
        assert!(encoder.field(KnownField::Cookie, b"cookie", b" a=b ", true));
        assert!(encoder.field(KnownField::Other, b"X-Own", b"1", false));
        let list = encoder.list();
        for (limit, flaw) in [(list, None), (list - 1, Some(FieldError::TooLong))] {
            let limits = BlockLimits {
                list: limit,
                fields: 10,
            };
            let mut into = FieldBlock::new();
            Decoder::new(4096).decode(&out, limits, &mut into).unwrap();
            assert_eq!(into.flaw(), flaw);
        }
    }

    #[test]
    fn pseudo_fields_go_by_their_index() {
        assert_eq!(
            encode(|e| {
                e.table_size_zero();
            }),
            [0x20]
        );
        assert_eq!(encode(|e| e.status(404)), [0x8d]);
        assert_eq!(encode(|e| e.status(503)), b"\x08\x03503");
        assert_eq!(encode(|e| assert!(e.method(b"POST"))), [0x83]);
        assert_eq!(encode(|e| assert!(e.method(b"PUT"))), b"\x02\x03PUT");
        assert_eq!(encode(|e| assert!(e.scheme(b"https"))), [0x87]);
        assert_eq!(encode(|e| assert!(e.path(b"/"))), [0x84]);
        assert_eq!(encode(|e| assert!(e.path(b"/a?b"))), b"\x04\x04/a?b");
        assert_eq!(encode(|e| assert!(e.authority(b"a:1"))), b"\x01\x03a:1");
        for status in 100..=599 {
            let fields = decode(&encode(|e| e.status(status)));
            assert_eq!(
                fields,
                [(Name::Status, ":status".into(), status.to_string())]
            );
        }
    }

    #[test]
    fn names_go_by_their_index_or_in_lower_case() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"Accept", b"\x0f\x04\x01v"),
            (b"TE", b"\x00\x02te\x01v"),
            (b"X-Any", b"\x00\x05x-any\x01v"),
            (b"Referer", b"\x00\x07referer\x01v"),
            (b"Mcp-Session-Id", b"\x00\x0emcp-session-id\x01v"),
        ];
        for (name, expected) in cases {
            let known = KnownField::of(name);
            let block = encode(|e| assert!(e.field(known, name, b" v\t", false)));
            assert_eq!(block, expected);
            let mut never = expected.to_vec();
            never[0] |= 0x10;
            let block = encode(|e| assert!(e.field(known, name, b"v", true)));
            assert_eq!(block, never);
            assert_eq!(decode(&block)[0].0, Name::Field(known));
        }
    }

    #[test]
    fn every_name_of_the_static_table_is_found_again() {
        for row in STATIC {
            let Name::Field(known) = row.name else {
                continue;
            };
            let name = row.name_text().to_ascii_uppercase();
            let fields = decode(&encode(|e| assert!(e.field(known, &name, b"v", false))));
            let text = String::from_utf8(row.name_text().to_vec()).unwrap();
            assert_eq!(fields, [(row.name, text, "v".into())]);
        }
    }

    #[test]
    fn what_is_not_valid_is_not_written() {
        let other = KnownField::Other;
        let nothing = encode(|e| {
            assert!(!e.field(other, b"", b"", false));
            assert!(!e.field(other, b"a b", b"", false));
            assert!(!e.field(other, b":path", b"", false));
            assert!(!e.field(other, b"a", b"b\rc", false));
            assert!(!e.field(KnownField::Date, b"date", b"\0", false));
            assert!(!e.method(b"") && !e.method(b"A B") && !e.scheme(b"http:"));
            assert!(!e.path(b"") && !e.path(b"/ ") && !e.path(b"/#"));
            assert!(!e.authority(b"") && !e.authority(b"a\n"));
        });
        assert_eq!(nothing, b"");
    }

    #[test]
    fn long_values_have_long_lengths() {
        for length in [126, 127, 128, 254, 255, 5000] {
            let value = vec![b'a'; length];
            let block = encode(|e| assert!(e.field(KnownField::Cookie, b"cookie", &value, true)));
            assert_eq!(decode(&block)[0].2.len(), length);
        }
    }
}
