//! Tests of the body decoder, with bodies complete and split at every offset.

use super::*;

fn chunked() -> BodyDecoder {
    BodyDecoder::request(RequestFraming::Chunked, &Limits::default())
}

/// Decodes all of `input` in steps of at most `step` bytes. Returns the body, and the bytes after it.
fn decode_by(
    decoder: &mut BodyDecoder,
    input: &[u8],
    step: usize,
) -> Result<(Vec<u8>, Option<usize>), Reason> {
    let (mut body, mut at, mut seen) = (Vec::new(), 0, 0);
    while seen < input.len() || at < seen {
        seen = (seen + step).min(input.len());
        loop {
            let decoded = decoder.decode(&input[at..seen])?;
            body.extend_from_slice(&input[at..seen][decoded.data.clone()]);
            assert!(decoded.data.is_empty() || decoded.data.end == decoded.consumed);
            at += decoded.consumed;
            assert_eq!(decoded.end, decoder.is_done());
            if decoded.end {
                return Ok((body, Some(input.len() - at)));
            }
            if decoded.consumed == 0 {
                break;
            }
        }
    }
    Ok((body, None))
}

fn decode(input: &[u8]) -> Result<(Vec<u8>, Option<usize>), Reason> {
    let whole = decode_by(&mut chunked(), input, input.len().max(1));
    for step in 1..input.len() {
        assert_eq!(
            decode_by(&mut chunked(), input, step),
            whole,
            "{} by {step}",
            input.escape_ascii()
        );
    }
    whole
}

#[test]
fn chunks_are_joined_and_what_follows_is_left() {
    let cases: [(&[u8], &[u8], usize); 12] = [
        (b"0\r\n\r\n", b"", 0),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello", 0),
        (b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET", b"hello!", 3),
        (b"0005\r\nhello\r\n0000000000000000\r\n\r\n", b"hello", 0),
        (b"A\r\n0123456789\r\n00\r\n\r\n", b"0123456789", 0),
        (b"a\r\n0123456789\r\n0\r\n\r\n\r\n", b"0123456789", 2),
        (b"2;a\r\nhi\r\n0;b=c;d=\"e\\\"\xe4\"\r\n\r\n", b"hi", 0),
        (b"2 ;a\r\nhi\r\n0\r\n\r\n", b"hi", 0),
        (b"2\t \r\nhi\r\n0 \r\n\r\n", b"hi", 0),
        (b"2;a \r\nhi\r\n0;b=c \r\n\r\n", b"hi", 0),
        (b"00000000000000000002\r\nhi\r\n0\r\n\r\n", b"hi", 0),
        (b"2; a = b ; c\r\nhi\r\n0\r\n\r\n", b"hi", 0),
    ];
    for (input, body, rest) in cases {
        let expected = Ok((body.to_vec(), Some(rest)));
        assert_eq!(decode(input), expected, "{}", input.escape_ascii());
    }
}

#[test]
fn odd_chunks_are_refused() {
    for input in [
        "\r\n",
        "x\r\n",
        "0x5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-5\r\n",
        " 5\r\n",
        "5 0\r\n",
        "5 \n",
        "5 \rh",
        "5                                 \r\n",
        "000000000000000000000000000000005\r\n",
        "5\nhello\r\n",
        "5\rhello",
        "5\r\nhelloX",
        "5\r\nhello\n",
        "5\r\nhello\rX",
        "5\r\nhello!\r\n",
        "5\r\nhello\r\r\n",
        "5\r\n\r\nhello",
        "10000000000000000\r\n",
        "5;\r\nhello",
        "5;a\nhello",
        "5;a\r\rhello",
        "5;a=\r\n",
        "5;=b\r\n",
        "5;a=\"b\r\n",
        "5;a=\"\0\"\r\n",
        "5;a=\"b\"c\r\n",
        "5;a b\r\n",
        "5,a\r\n",
        "5;a=b=c\r\n",
        "5;a\0\r\n",
        ";a\r\n",
        "5\r\nhello\r\n\r\n",
        "5_0\r\n",
        "\u{ff15}\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n\rX",
        "0\r\r\n",
        "\0",
        "5\0\r\n",
    ] {
        assert_eq!(
            decode(input.as_bytes()),
            Err(Reason::InvalidChunk).or_else(trailer_reason(input)),
            "{input:?}"
        );
    }
}

/// Replaces the expected reason if the fault is in a trailer line.
fn trailer_reason(input: &str) -> impl Fn(Reason) -> Result<(Vec<u8>, Option<usize>), Reason> {
    let is_trailer = input.starts_with("0\r\n") && !input.starts_with("0\r\n\r");
    move |reason| {
        Err(if is_trailer {
            Reason::InvalidTrailer
        } else {
            reason
        })
    }
}

#[test]
fn a_body_that_was_cut_never_looks_whole() {
    let input = b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n";
    for cut in 0..input.len() {
        let mut decoder = chunked();
        let (_, rest) = decode_by(&mut decoder, &input[..cut], 4).unwrap();
        assert_eq!(
            (rest, decoder.finish_eof()),
            (None, Err(Reason::CutBody)),
            "cut at {cut}"
        );
        assert!(decoder.trailers().is_none());
    }
    let mut length = BodyDecoder::request(RequestFraming::Length(5), &Limits::default());
    length.decode(b"hell").unwrap();
    assert_eq!(length.finish_eof(), Err(Reason::CutBody));
}

#[test]
fn a_length_is_read_to_its_last_byte() {
    let mut decoder = BodyDecoder::response(ResponseFraming::Length(5), &Limits::default());
    assert_eq!(
        decoder.decode(b"hel"),
        Ok(Decoded {
            consumed: 3,
            data: 0..3,
            end: false
        })
    );
    assert_eq!(
        decoder.decode(b"lo, world"),
        Ok(Decoded {
            consumed: 2,
            data: 0..2,
            end: true
        })
    );
    assert_eq!(
        decoder.decode(b", world"),
        Ok(Decoded {
            consumed: 0,
            data: 0..0,
            end: true
        })
    );
    assert_eq!(decoder.finish_eof(), Ok(()));
}

#[test]
fn a_message_without_a_body_ends_at_once() {
    let limits = Limits::default();
    for mut decoder in [
        BodyDecoder::request(RequestFraming::None, &limits),
        BodyDecoder::response(ResponseFraming::None, &limits),
        BodyDecoder::response(ResponseFraming::Announced(7), &limits),
    ] {
        assert!(decoder.is_done());
        assert_eq!(
            decoder.decode(b"extra"),
            Ok(Decoded {
                consumed: 0,
                data: 0..0,
                end: true
            })
        );
    }
}

#[test]
fn a_body_until_the_close_ends_with_the_connection() {
    let mut decoder = BodyDecoder::response(ResponseFraming::UntilClose, &Limits::default());
    assert_eq!(
        decoder.decode(b"abc"),
        Ok(Decoded {
            consumed: 3,
            data: 0..3,
            end: false
        })
    );
    assert!(!decoder.is_done() && !decoder.is_delimited());
    assert_eq!(decoder.finish_eof(), Ok(()));
}

#[test]
fn extensions_are_limited_over_the_whole_body() {
    let limits = Limits {
        chunk_extensions: 10,
        ..Limits::default()
    };
    let mut decoder = BodyDecoder::request(RequestFraming::Chunked, &limits);
    // The `;` belongs to the size line; the name and its line end are counted.
    assert!(decode_by(&mut decoder, b"1;abc\r\nx\r\n1;abc\r\nx\r\n", 3).is_ok());
    assert_eq!(
        decode_by(&mut decoder, b"1;abc\r\nx\r\n", 3),
        Err(Reason::ExtensionsTooLarge)
    );
}

fn trailers(section: &str) -> Result<Vec<(String, String)>, Reason> {
    let mut decoder = chunked();
    let input = format!("0\r\n{section}\r\n");
    decode(input.as_bytes())?;
    let (_, rest) = decode_by(&mut decoder, input.as_bytes(), 1)?;
    assert_eq!(rest, Some(0), "{section:?}");
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let fields = decoder.trailers().into_iter().flat_map(Trailers::fields);
    Ok(fields
        .map(|field| (text(field.name), text(field.value)))
        .collect())
}

#[test]
fn trailers_are_fields() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(trailers(""), Ok(vec![]));
    assert_eq!(
        trailers("grpc-status: 0\r\n"),
        Ok(vec![pair("grpc-status", "0")])
    );
    assert_eq!(
        trailers("A:b:c \r\nD:\r\n"),
        Ok(vec![pair("A", "b:c"), pair("D", "")])
    );
    for odd in [
        "A\r\n",
        ": b\r\n",
        "A : b\r\n",
        "A: b\n",
        "A: b\r\n c\r\n",
        " A: b\r\n",
        "A: \0\r\n",
        "A: b\rc\r\n",
        "\n",
        "A\0: b\r\n",
        "A: b\r\r\n",
    ] {
        assert_eq!(trailers(odd), Err(Reason::InvalidTrailer), "{odd:?}");
    }
}

#[test]
fn only_trailers_that_may_be_forwarded_are_allowed() {
    let mut decoder = chunked();
    let input = b"0\r\nContent-Length: 5\r\nX-Sum: 1\r\nHost: b\r\nAuthorization: c\r\n\r\n";
    decode_by(&mut decoder, input, 1000).unwrap();
    let trailers = decoder.trailers().unwrap();
    assert_eq!(trailers.fields().count(), 4);
    assert_eq!(
        trailers
            .allowed()
            .map(|field| field.name)
            .collect::<Vec<_>>(),
        [b"X-Sum"]
    );
}

#[test]
fn a_trailer_section_is_limited() {
    let limits = Limits {
        trailers: 20,
        ..Limits::default()
    };
    let section = |length: usize| format!("0\r\nA: {}\r\n\r\n", "b".repeat(length));
    let decode = |text: String| {
        let mut decoder = BodyDecoder::request(RequestFraming::Chunked, &limits);
        decode_by(&mut decoder, text.as_bytes(), 7).map(|(_, rest)| rest)
    };
    assert_eq!(decode(section(13)), Ok(Some(0)));
    assert_eq!(decode(section(14)), Err(Reason::TrailersTooLarge));
    let many = format!("0\r\n{}\r\n", "a:b\r\n".repeat(101));
    assert_eq!(
        decode_by(&mut chunked(), many.as_bytes(), 9),
        Err(Reason::TrailersTooLarge)
    );
}

#[test]
fn a_decoder_is_small() {
    assert!(
        size_of::<BodyDecoder>() <= 40,
        "{}",
        size_of::<BodyDecoder>()
    );
}
