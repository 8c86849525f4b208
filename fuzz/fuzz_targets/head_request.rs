//! Request heads: found, read and validated, at once and in fragments; no accepted head is ambiguous to another reader.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchback_fuzz::http1::{FieldSlots, HeadScan, RequestHead};
use switchback_fuzz::message::{
    KnownField, Method, RequestFraming, Version, is_field_value, is_token, normal_path,
};
use switchback_fuzz::{limits, scan};

fuzz_target!(|data: &[u8]| {
    let Some((step, data)) = data.split_first() else {
        return;
    };
    let Some(range) = scan(data, usize::from(*step), HeadScan::request) else {
        return;
    };
    let limits = limits();
    let mut slots = FieldSlots::new();
    let Ok(head) = RequestHead::parse(&data[range], &limits, &mut slots) else {
        return;
    };
    for field in head.fields() {
        assert!(is_token(field.name) && is_field_value(field.value));
        assert_eq!(field.known, KnownField::of(field.name));
        assert!(!field.value.starts_with(b" ") && !field.value.ends_with(b"\t"));
    }
    let Ok(facts) = head.validate(&limits) else {
        return;
    };
    let count = |known| head.fields().filter(|field| field.known == known).count();
    assert!(
        count(KnownField::Host) <= 1
            && count(KnownField::ContentLength) + count(KnownField::TransferEncoding) <= 1
    );
    assert!(facts.method != Method::Connect && is_token(head.line().method));
    assert_eq!(
        facts.framing == RequestFraming::None,
        count(KnownField::ContentLength) + count(KnownField::TransferEncoding) == 0
    );
    if facts.version == Version::Http10 {
        assert!(facts.framing != RequestFraming::Chunked);
    } else {
        assert_eq!(count(KnownField::Host), 1);
        assert!(facts.authority.is_some());
    }
    assert!(!facts.websocket || facts.framing.is_empty());
    assert!(
        !head
            .line()
            .target
            .iter()
            .any(|&byte| byte <= b' ' || byte >= 0x7f || byte == b'#')
    );
    if let Ok(normal) = normal_path(facts.target.path) {
        assert_eq!(
            normal_path(&normal).as_deref(),
            Ok(&*normal),
            "a normal form is normal"
        );
        assert!(normal.starts_with(b"/") || normal.starts_with(b"*"));
        let mut segments = normal.split(|&byte| byte == b'/').skip(1);
        assert!(segments.all(|segment| segment != b"." && segment != b".."));
    }
});
