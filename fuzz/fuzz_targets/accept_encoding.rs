//! `Accept-Encoding`: a list means the same in one field and in many, in any case and any order, and a refusal is one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchback_fuzz::message::{AcceptEncoding, forbids_transform, varies_by_encoding};

fuzz_target!(|data: &[u8]| {
    let whole = AcceptEncoding::of([data]);
    let members: Vec<&[u8]> = data.split(|byte| *byte == b',').collect();
    assert_eq!(whole, AcceptEncoding::of(members.iter().copied()));
    assert_eq!(whole, AcceptEncoding::of(members.iter().rev().copied()));
    for other in [data.to_ascii_lowercase(), data.to_ascii_uppercase()] {
        assert_eq!(whole, AcceptEncoding::of([&other[..]]));
    }
    for refusal in [&b"gzip;q=0"[..], b"x-gzip; q=0.000"] {
        assert!(!AcceptEncoding::of([data, refusal]).prefers_gzip());
    }
    if whole.prefers_gzip() {
        let asks = |word: &[u8]| {
            let mut windows = data.windows(word.len());
            windows.any(|window| window.eq_ignore_ascii_case(word))
        };
        assert!(asks(b"gzip") || asks(b"*"));
    }
    // The other lists that decide on a coding.
    let joined = [data, b"no-transform, accept-encoding"].join(&b',');
    assert!(forbids_transform(&joined) && varies_by_encoding(&joined));
});
