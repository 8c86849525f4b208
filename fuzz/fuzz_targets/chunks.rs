//! Chunked bodies: the same verdict and the same data at once and in fragments, and after they were encoded again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchback_fuzz::http1::{BodyDecoder, HeadWriter, Trailers};
use switchback_fuzz::message::RequestFraming;
use switchback_fuzz::{decode, limits};

fuzz_target!(|data: &[u8]| {
    let Some((step, data)) = data.split_first() else {
        return;
    };
    let limits = limits();
    let new = || BodyDecoder::request(RequestFraming::Chunked, &limits);
    let mut decoder = new();
    let whole = decode(&mut decoder, data, data.len());
    let mut pieces = new();
    assert_eq!(decode(&mut pieces, data, usize::from(*step)), whole);
    let Ok((body, end)) = whole else { return };
    assert_eq!(end.is_some(), decoder.finish_eof().is_ok());
    if end.is_none() {
        return;
    }

    let mut encoder = HeadWriter::request(&mut Vec::new(), b"POST", b"/", None)
        .finish(RequestFraming::Chunked)
        .expect("a head that is valid");
    let mut out = Vec::new();
    for run in body.chunks(usize::from(*step).max(1)) {
        let frame = encoder.frame(run.len()).expect("chunks have room");
        out.extend([frame.before(), run, frame.after()].concat());
    }
    let trailers = || decoder.trailers().into_iter().flat_map(Trailers::allowed);
    encoder
        .finish(&mut out, trailers())
        .expect("trailers that were read can be written");
    let mut again = new();
    let decoded = decode(&mut again, &out, 7);
    // What was written anew can have more bytes than what was read, and so go beyond a limit.
    if let Ok(decoded) = decoded {
        assert_eq!(decoded, (body, Some(out.len())));
        assert!(
            again
                .trailers()
                .into_iter()
                .flat_map(Trailers::fields)
                .eq(trailers())
        );
    }
});
