//! Headers of the PROXY protocol: read the same whatever follows, and never before they are whole.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchback_fuzz::net::proxy_header::parse_proxy_header;

fuzz_target!(|data: &[u8]| {
    let Ok(Some((length, addresses))) = parse_proxy_header(data) else {
        return;
    };
    assert!((16..=data.len()).contains(&length));
    assert_eq!(
        parse_proxy_header(&data[..length]),
        Ok(Some((length, addresses)))
    );
    for cut in 0..length {
        assert_eq!(parse_proxy_header(&data[..cut]), Ok(None));
    }
});
