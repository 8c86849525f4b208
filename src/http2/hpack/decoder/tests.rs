//! Examples of the specification, malformed input, limits, and a round trip of all representations.

use proptest::prelude::*;

use super::*;
use crate::http2::hpack::reference::{Reference, Style};
use crate::http2::hpack::{BlockField, Encoder};
use crate::message::KnownField;

const WIDE: BlockLimits = BlockLimits {
    list: 1 << 20,
    fields: 1000,
};

type Text = (Vec<u8>, Vec<u8>);

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn texts(block: &FieldBlock) -> Vec<Text> {
    block
        .iter()
        .map(|field| (field.text.to_vec(), field.value.to_vec()))
        .collect()
}

/// A decoder whose peer started with a table size update.
fn decoder(size: usize) -> Decoder {
    let mut decoder = Decoder::new(4096);
    decoder.table.resize(size);
    decoder
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<FieldBlock, DecodeError> {
    let mut into = FieldBlock::new();
    decoder.decode(block, WIDE, &mut into)?;
    Ok(into)
}

/// Decodes consecutive blocks: each with its expected fields as lines, and the table size after it.
fn check(size: usize, blocks: &[(&str, &str, usize)]) {
    let mut decoder = decoder(size);
    for (block, lines, size) in blocks {
        let fields = decode(&mut decoder, &hex(block)).unwrap();
        let expected: Vec<Text> = lines
            .lines()
            .map(|line| line.trim().rsplit_once(" = ").unwrap())
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        assert_eq!(texts(&fields), expected, "{block}");
        assert_eq!((fields.flaw(), decoder.table.size()), (None, *size));
    }
}

/// RFC 7541, appendix C.2.
#[test]
fn examples_of_single_fields() {
    let literal = "400a637573746f6d2d6b65790d637573746f6d2d686561646572";
    check(4096, &[(literal, "custom-key = custom-header", 55)]);
    check(
        4096,
        &[("040c2f73616d706c652f70617468", ":path = /sample/path", 0)],
    );
    check(
        4096,
        &[("100870617373776f726406736563726574", "password = secret", 0)],
    );
    check(4096, &[("82", ":method = GET", 0)]);
}

const FIRST: &str = ":method = GET
    :scheme = http
    :path = /
    :authority = www.example.com";
const SECOND: &str = ":method = GET
    :scheme = http
    :path = /
    :authority = www.example.com
    cache-control = no-cache";
const THIRD: &str = ":method = GET
    :scheme = https
    :path = /index.html
    :authority = www.example.com
    custom-key = custom-value";

/// RFC 7541, appendices C.3 and C.4.
#[test]
fn examples_of_requests() {
    let plain = [
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ];
    let compressed = [
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ];
    for [first, second, third] in [plain, compressed] {
        let blocks = [
            (first, FIRST, 57),
            (second, SECOND, 110),
            (third, THIRD, 164),
        ];
        check(4096, &blocks);
    }
}

const FOUND: &str = ":status = 302
    cache-control = private
    date = Mon, 21 Oct 2013 20:13:21 GMT
    location = https://www.example.com";
const STILL_FOUND: &str = ":status = 307
    cache-control = private
    date = Mon, 21 Oct 2013 20:13:21 GMT
    location = https://www.example.com";
const OK: &str = ":status = 200
    cache-control = private
    date = Mon, 21 Oct 2013 20:13:22 GMT
    location = https://www.example.com
    content-encoding = gzip
    set-cookie = foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

/// RFC 7541, appendices C.5 and C.6: a table of 256 bytes with evictions.
#[test]
fn examples_of_responses() {
    let plain = [
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54\
         6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
        "4803333037c1c0bf",
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f\
         3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076\
         657273696f6e3d31",
    ];
    let compressed = [
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f\
         0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335df\
         dfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ];
    for [first, second, third] in [plain, compressed] {
        let blocks = [
            (first, FOUND, 222),
            (second, STILL_FOUND, 222),
            (third, OK, 215),
        ];
        check(256, &blocks);
    }
}

#[test]
fn what_is_malformed_ends_the_connection() {
    use DecodeError::{InvalidHuffman, InvalidIndex, InvalidInteger, InvalidTableSize, Truncated};
    for (block, error) in [
        ("80", InvalidIndex),
        ("be", InvalidIndex),
        ("ff80808008", InvalidIndex),
        ("7e00", InvalidIndex),
        ("0f2f00", InvalidIndex),
        ("1f2f00", InvalidIndex),
        ("ff", Truncated),
        ("ffffffffffff00", InvalidInteger),
        ("ffffffffffff7f", InvalidInteger),
        ("04", Truncated),
        ("040361", Truncated),
        ("00", Truncated),
        ("0001", Truncated),
        ("000161", Truncated),
        ("4001610261", Truncated),
        ("047f80ffffff0f", Truncated),
        ("048118", InvalidHuffman),
        ("0481ff", InvalidHuffman),
        ("04821fff", InvalidHuffman),
        ("0484ffffffff", InvalidHuffman),
        ("3fe21f", InvalidTableSize),
        ("3f80ffffff0f", InvalidTableSize),
        ("8220", InvalidTableSize),
        ("82e120", InvalidIndex),
    ] {
        let mut into = FieldBlock::new();
        let mut block = hex(block);
        let mut decoder = Decoder::new(4096);
        assert_eq!(
            decoder.decode(&block, WIDE, &mut into),
            Err(error),
            "{block:02x?}"
        );
        assert!(into.is_empty() && into.flaw().is_none());
        // The same after a field.
        block.insert(0, 0x82);
        assert!(Decoder::new(4096).decode(&block, WIDE, &mut into).is_err());
        assert!(into.is_empty());
    }
}

#[test]
fn the_size_of_the_table_changes_at_the_start_of_a_block() {
    let mut decoder = Decoder::new(8192);
    decode(&mut decoder, &hex("3fe11f4001610162")).unwrap();
    assert_eq!(decoder.table.size(), 34);
    // 0 and then the announced size: this empties a table.
    decode(&mut decoder, &hex("203fe13f")).unwrap();
    assert_eq!(decoder.table.size(), 0);
    decode(&mut decoder, &hex("4001610162")).unwrap();
    assert_eq!(texts(&decode(&mut decoder, &hex("be")).unwrap()).len(), 1);
    let beyond = decode(&mut decoder, &hex("3fe23f"));
    assert_eq!(beyond.unwrap_err(), DecodeError::InvalidTableSize);
    // A peer may use the default size before it has read our SETTINGS.
    assert!(decode(&mut Decoder::new(0), &hex("3fe11f")).is_ok());
    assert!(decode(&mut Decoder::new(0), &hex("3fe21f")).is_err());
}

#[test]
fn a_name_may_come_from_the_row_that_makes_room() {
    // A table for one entry, "name: a"; then the same name with another value, and with one that fits no table.
    let mut decoder = decoder(40);
    decode(&mut decoder, b"\x40\x04name\x01a").unwrap();
    let fields = decode(&mut decoder, b"\x7e\x01b\xbe").unwrap();
    assert_eq!(
        texts(&fields),
        [(b"name".into(), b"b".into()), (b"name".into(), b"b".into())]
    );
    assert_eq!(decoder.table.size(), 37);
    let fields = decode(&mut decoder, b"\x7e\x0512345").unwrap();
    assert_eq!(texts(&fields), [(b"name".to_vec(), b"12345".to_vec())]);
    assert_eq!(decoder.table.size(), 0);
    assert!(decode(&mut decoder, b"\xbe").is_err());
}

#[test]
fn a_flaw_leaves_the_table_in_step_and_is_remembered_by_it() {
    let cases: [(&[u8], FieldError); 6] = [
        (b"\x40\x04Name\x01a", FieldError::UppercaseName),
        (b"\x40\x00\x01a", FieldError::InvalidName),
        (b"\x40\x02a:\x01a", FieldError::InvalidName),
        (b"\x40\x01a\x01\r", FieldError::InvalidValue),
        (b"\x40\x01a\x02 a", FieldError::InvalidValue),
        (b"\x40\x01a\x02a\t", FieldError::InvalidValue),
    ];
    for (block, flaw) in cases {
        let mut decoder = Decoder::new(4096);
        let fields = decode(&mut decoder, &[block, b"\x40\x01b\x01c\x82"].concat()).unwrap();
        assert_eq!((fields.flaw(), fields.len()), (Some(flaw), 2));
        let fields = decode(&mut decoder, b"\xbe\xbf\x82").unwrap();
        assert_eq!((fields.flaw(), fields.len()), (Some(flaw), 2));
        // The name alone, with a valid value.
        let fields = decode(&mut decoder, b"\x0f\x30\x01v").unwrap();
        let of_name = Some(flaw).filter(|flaw| *flaw != FieldError::InvalidValue);
        assert_eq!(fields.flaw(), of_name);
        let fields = decode(&mut decoder, b"\x82\xbe").unwrap();
        assert_eq!((fields.flaw(), fields.len()), (None, 2));
    }
}

#[test]
fn names_are_what_they_were_when_they_come_from_the_table() {
    let mut decoder = Decoder::new(4096);
    let first = decode(
        &mut decoder,
        b"\x40\x09:protocol\x09websocket\x40\x06:other\x00\x40\x02te\x01a",
    )
    .unwrap();
    let again = decode(&mut decoder, b"\xc0\xbf\xbe").unwrap();
    let names: Vec<Name> = first.iter().map(|field| field.name).collect();
    let expected = [
        Name::Protocol,
        Name::UnknownPseudo,
        Name::Field(KnownField::Te),
    ];
    assert_eq!(names, expected);
    assert!(first.iter().eq(&again));
}

/// A few bytes that refer to an entry of four thousand can cause a lot of copying.
#[test]
fn what_goes_beyond_a_limit_costs_nothing_more() {
    let mut decoder = Decoder::new(4096);
    let large = [&b"\x40\x7f\xa1\x1e"[..], &[b'a'; 4000], b"\x00"].concat();
    decode(&mut decoder, &large).unwrap();
    let limits = BlockLimits {
        list: 16 << 10,
        fields: 100,
    };
    let mut into = FieldBlock::new();
    for block in [vec![0xbe; 64 << 10], b"\x0f\x2f\x00".repeat(20 << 10)] {
        decoder.decode(&block, limits, &mut into).unwrap();
        assert_eq!((into.len(), into.flaw()), (4, Some(FieldError::TooLong)));
    }
    // Names that are inserted repeatedly: some, and then too many.
    let some = b"\x7e\x00".repeat(200);
    decoder.decode(&some, limits, &mut into).unwrap();
    assert_eq!((into.len(), into.flaw()), (4, Some(FieldError::TooLong)));
    let many = b"\x7e\x00".repeat(20 << 10);
    assert_eq!(
        decoder.decode(&many, limits, &mut into),
        Err(DecodeError::Excess)
    );
}

#[test]
fn nothing_is_allocated_before_there_is_something() {
    let mut decoder = Decoder::new(4096);
    let mut into = FieldBlock::new();
    decoder.decode(b"", WIDE, &mut into).unwrap();
    assert!(into.is_empty());
    decoder.decode(b"\x82\x84", WIDE, &mut into).unwrap();
    assert_eq!((decoder.table.kept(), into.len()), (0, 2));
}

fn style() -> impl Strategy<Value = Style> {
    (0..3_u8, any::<[bool; 3]>()).prop_map(|(kind, [uses_rows, names, values])| Style {
        kind,
        uses_rows,
        compresses_name: names,
        compresses_value: values,
    })
}

fn field() -> impl Strategy<Value = Text> {
    let name = prop_oneof![
        4 => "(:path|:method|:status|cookie|accept|date|te|x-[a-c]{1,2})",
        1 => "[a-z0-9_.-]{1,40}",
    ];
    let value = prop_oneof![
        4 => "(GET|/|200|gzip|[a-c]{0,2})".prop_map(String::into_bytes),
        1 => prop::collection::vec(0x80..=0xff_u8, 0..100),
        1 => prop::collection::vec(prop_oneof![6 => 0x21..=0x7e_u8, 1 => 0x80..=0xff_u8], 0..100),
        1 => "[!-~]{0,300}".prop_map(String::into_bytes),
    ];
    (name.prop_map(String::into_bytes), value)
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        blocks in prop::collection::vec(
            (
                prop::option::of(0..600_usize),
                prop::collection::vec((field(), style()), 0..12),
            ),
            1..12,
        )
    ) {
        let mut decoder = Decoder::new(4096);
        let mut reference = Reference::new(4096);
        let mut into = FieldBlock::new();
        for (size, fields) in blocks {
            let mut block = Vec::new();
            if let Some(size) = size {
                reference.resize(&mut block, size);
            }
            for ((name, value), style) in &fields {
                reference.field(&mut block, name, value, *style);
            }
            decoder.decode(&block, WIDE, &mut into).unwrap();
            prop_assert_eq!(into.flaw(), None);
            let expected: Vec<Text> = fields.into_iter().map(|(field, _)| field).collect();
            prop_assert_eq!(texts(&into), expected);
            prop_assert_eq!(decoder.table.size(), reference.size());
        }
    }

    #[test]
    fn nothing_that_arrives_is_too_much(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8),
        list in 0..400_usize,
        fields in 0..6_usize,
    ) {
        let mut decoder = Decoder::new(512);
        let mut into = FieldBlock::new();
        for block in blocks {
            let decoded = decoder.decode(&block, BlockLimits { list, fields }, &mut into);
            let size: usize = into.iter().map(|field| field.text.len() + field.value.len() + 32).sum();
            prop_assert!(size <= list && into.len() <= fields);
            prop_assert!(decoder.table.size() <= 4096 && decoder.table.kept() <= 8192);
            if decoded.is_err() {
                break;
            }
        }
    }

    #[test]
    fn what_the_encoder_writes_is_read(fields in prop::collection::vec((field(), any::<bool>()), 0..12)) {
        let mut block = Vec::new();
        let mut expected = Vec::new();
        let mut encoder = Encoder::new(&mut block);
        encoder.table_size_zero();
        for ((name, value), never_indexed) in &fields {
            if encoder.field(KnownField::of(name), name, value, *never_indexed) {
                expected.push((name.clone(), value.clone()));
            }
        }
        let pseudo = fields.iter().filter(|((name, _), _)| name.starts_with(b":")).count();
        prop_assert_eq!(expected.len(), fields.len() - pseudo);
        let into = decode(&mut Decoder::new(4096), &block).unwrap();
        prop_assert_eq!(texts(&into), expected);
        let is_known = |field: BlockField<'_>| field.name == Name::Field(KnownField::of(field.text));
        prop_assert!(into.iter().all(is_known));
    }
}
