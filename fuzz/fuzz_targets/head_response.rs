//! Response heads: found, read and validated, at once and in fragments.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchback_fuzz::http1::{FieldSlots, HeadScan, ResponseHead};
use switchback_fuzz::message::{
    KnownField, RequestContextForResponse, ResponseFraming, is_field_value, is_token,
};
use switchback_fuzz::{limits, scan};

fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let asked = RequestContextForResponse {
        head: first & 0x80 != 0,
        websocket: first & 0x40 != 0,
        upgrade: first & 0xc0 == 0x80,
    };
    let Some(range) = scan(data, usize::from(first & 0x3f), HeadScan::response) else {
        return;
    };
    let limits = limits();
    let mut slots = FieldSlots::new();
    let Ok(head) = ResponseHead::parse(&data[range.clone()], &limits, &mut slots) else {
        return;
    };
    assert!(range.start == 0 && is_field_value(head.reason()));
    for field in head.fields() {
        assert!(is_token(field.name) && is_field_value(field.value));
    }
    let Ok(facts) = head.validate(asked, &limits) else {
        return;
    };
    let count = |known| head.fields().filter(|field| field.known == known).count();
    assert!((100..600).contains(&facts.status));
    assert!(count(KnownField::ContentLength) <= 1 && count(KnownField::TransferEncoding) <= 1);
    assert!(facts.status != 101 || (asked.websocket || asked.upgrade) && !facts.keep_alive);
    if asked.head || matches!(facts.status, 100..=199 | 204 | 304) {
        assert!(matches!(
            facts.framing,
            ResponseFraming::None | ResponseFraming::Announced(_)
        ));
    }
    if facts.keep_alive {
        assert!(facts.framing != ResponseFraming::UntilClose);
        assert!(count(KnownField::ContentLength) + count(KnownField::TransferEncoding) <= 1);
    }
});
