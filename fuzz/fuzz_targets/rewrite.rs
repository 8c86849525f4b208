//! A request that passes is written anew as a proxy does it, and what was written is read again: it must be the same
//! request, no more and no less.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchback_fuzz::http1::{FieldSlots, HeadScan, HeadWriter, RequestHead};
use switchback_fuzz::message::{Field, KnownField, Limits};

fuzz_target!(|data: &[u8]| {
    // The limits are those of every day: what is written has a few bytes more than what was read.
    let limits = Limits {
        fields: 50,
        ..Limits::default()
    };
    let Ok(Some(range)) = HeadScan::default().request(data, &limits) else {
        return;
    };
    let mut slots = FieldSlots::new();
    let Ok(head) = RequestHead::parse(&data[range], &limits, &mut slots) else {
        return;
    };
    let Ok(facts) = head.validate(&limits) else {
        return;
    };

    let mut out = Vec::new();
    let mut writer = HeadWriter::request(
        &mut out,
        head.line().method,
        facts.target.path,
        facts.target.query,
    );
    let host = facts
        .authority
        .map_or("none.example", |authority| authority.as_str());
    writer.add("host", host);
    // HTTP/1.0 has no expectations: one that it names has no meaning, and gets none by HTTP/1.1.
    let ends = |field: &Field<'_>| match field.known {
        KnownField::Host => true,
        KnownField::Expect => !facts.expects_continue,
        known => known.is_framing() || facts.nominated.is_hop_by_hop(field),
    };
    let forwarded = || head.fields().filter(|field| !ends(field));
    for field in forwarded() {
        writer.field(&field);
    }
    let encoder = writer
        .finish(facts.framing)
        .expect("what was read can be written");
    assert_eq!(encoder.is_complete(), facts.framing.is_empty());

    let limits = Limits::default();
    assert_eq!(
        HeadScan::default().request(&out, &limits),
        Ok(Some(0..out.len()))
    );
    let mut slots = FieldSlots::new();
    let again =
        RequestHead::parse(&out, &limits, &mut slots).expect("what was written can be read");
    let second = again.validate(&limits).expect("what was written passes");
    assert_eq!(again.line().method, head.line().method);
    assert_eq!(
        (second.target.path, second.target.query),
        (facts.target.path, facts.target.query)
    );
    assert_eq!((second.framing, second.websocket), (facts.framing, false));
    assert_eq!(
        second.authority.map(|authority| authority.as_str()),
        Some(host)
    );
    let read: Vec<_> = again
        .fields()
        .filter(|field| field.known != KnownField::Host && !field.known.is_framing())
        .collect();
    assert!(read.into_iter().eq(forwarded()));
});
