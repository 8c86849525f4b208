//! Facts of a certificate: they do not depend on the bytes behind it, and what is cut off has none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchback_fuzz::acme::facts;

fuzz_target!(|data: &[u8]| {
    let Some(found) = facts(data) else {
        return;
    };
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    for part in found.id.iter().flatten() {
        assert!(part.bytes().all(is_base64));
    }
    assert_eq!(facts(&[data, b"0\x03\x02\x01\x05"].concat()).as_ref(), Some(&found));
    for end in 0..data.len() {
        assert!(facts(&data[..end]).is_none_or(|cut| cut == found));
    }
});
