//! Headers of the PROXY protocol: the reading does not depend on the bytes behind them, and is never made before they
//! end.

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
