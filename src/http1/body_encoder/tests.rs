//! Tests of the body encoder, against the decoder.

use proptest::prelude::{any, prop, proptest};

use super::*;
use crate::http1::{BodyDecoder, HeadWriter};
use crate::message::Limits;

fn encoder(framing: RequestFraming) -> BodyEncoder {
    HeadWriter::request(&mut Vec::new(), b"POST", b"/", None)
        .finish(framing)
        .unwrap()
}

fn encode(
    encoder: &mut BodyEncoder,
    data: &[&[u8]],
    trailers: &[(&str, &str)],
) -> Result<Vec<u8>, WriteError> {
    let mut out = Vec::new();
    for data in data {
        let frame = encoder.frame(data.len())?;
        out.extend_from_slice(frame.before());
        out.extend_from_slice(data);
        out.extend_from_slice(frame.after());
    }
    encoder.finish(
        &mut out,
        trailers
            .iter()
            .map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes())),
    )?;
    Ok(out)
}

#[test]
fn chunks_are_written_with_their_size() {
    let mut encoder = encoder(RequestFraming::Chunked);
    let long = [b'x'; 255];
    let out = encode(&mut encoder, &[b"hello", b"", &long], &[]).unwrap();
    assert_eq!(
        out,
        [b"5\r\nhello\r\nff\r\n", &long[..], b"\r\n0\r\n\r\n"].concat()
    );
    assert!(encoder.is_complete() && !encoder.truncation_is_visible());
    assert_eq!(encoder.frame(1), Err(WriteError::BodyTooLong));
    assert_eq!(
        ChunkFraming::chunk(usize::MAX).before(),
        b"ffffffffffffffff\r\n"
    );
}

#[test]
fn a_length_is_kept_to_the_byte() {
    let mut five = encoder(RequestFraming::Length(5));
    assert_eq!(
        encode(&mut five.clone(), &[b"he", b"llo"], &[("a", "b")]).unwrap(),
        b"hello"
    );
    assert_eq!(
        encode(&mut five.clone(), &[b"hello!"], &[]),
        Err(WriteError::BodyTooLong)
    );
    assert_eq!(
        encode(&mut five.clone(), &[b"hell"], &[]),
        Err(WriteError::BodyTooShort)
    );
    five.frame(4).unwrap();
    assert!(five.truncation_is_visible() && !five.is_complete());
    five.frame(1).unwrap();
    assert!(five.is_complete());
    assert_eq!(
        encoder(RequestFraming::None).frame(1),
        Err(WriteError::BodyTooLong)
    );
    assert!(encoder(RequestFraming::None).is_complete());
}

#[test]
fn a_body_that_was_cut_shows_it_unless_only_the_close_ends_it() {
    assert!(encoder(RequestFraming::Chunked).truncation_is_visible());
    let mut until_close = BodyEncoder::response(ResponseFraming::UntilClose);
    assert!(!until_close.truncation_is_visible() && !until_close.is_complete());
    assert_eq!(encode(&mut until_close, &[b"a", b"b"], &[]).unwrap(), b"ab");
    assert!(until_close.is_complete());
    assert_eq!(
        BodyEncoder::response(ResponseFraming::Announced(9)).frame(1),
        Err(WriteError::BodyTooLong)
    );
}

#[test]
fn trailers_are_checked_and_those_that_may_not_pass_are_left_out() {
    let trailers = [
        ("grpc-status", "0"),
        ("content-length", "5"),
        ("cookie", "a"),
        ("x-sum", " 1 "),
    ];
    let out = encode(&mut encoder(RequestFraming::Chunked), &[], &trailers).unwrap();
    assert_eq!(out, b"0\r\ngrpc-status: 0\r\nx-sum: 1\r\n\r\n");
    for (trailer, error) in [
        (("a b", "c"), WriteError::InvalidName),
        (("a", "b\r\nc"), WriteError::InvalidValue),
    ] {
        assert_eq!(
            encode(&mut encoder(RequestFraming::Chunked), &[], &[trailer]),
            Err(error)
        );
    }
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded_wherever_it_was_cut(
        runs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        cuts in prop::collection::vec(0..400_usize, 0..12),
        rest in prop::collection::vec(any::<u8>(), 0..5),
        by_length: bool,
    ) {
        let body = runs.concat();
        let framing =
            if by_length { RequestFraming::Length(body.len() as u64) } else { RequestFraming::Chunked };
        let runs: Vec<_> = runs.iter().map(Vec::as_slice).collect();
        let mut input = encode(&mut encoder(framing), &runs, &[("x-sum", "1")]).unwrap();
        let end = input.len();
        input.extend_from_slice(&rest);

        let mut decoder = BodyDecoder::request(framing, &Limits::default());
        let mut cuts: Vec<_> = cuts.into_iter().filter(|cut| *cut < input.len()).chain([input.len()]).collect();
        cuts.sort_unstable();
        let (mut decoded_body, mut at) = (Vec::new(), 0);
        for cut in cuts {
            loop {
                let decoded = decoder.decode(&input[at..cut]).unwrap();
                decoded_body.extend_from_slice(&input[at..cut][decoded.data]);
                at += decoded.consumed;
                if decoded.end || decoded.consumed == 0 {
                    break;
                }
            }
        }
        assert!(decoder.is_done());
        assert_eq!((decoded_body, at), (body, end));
        assert_eq!(decoder.trailers().is_some(), !by_length);
    }
}
