//! Messages of etcd: a watch takes the same steps from a stream whole and in fragments, and delivers each revision once and
//! in order; no answer makes a reader panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchback_fuzz::etcd::wire::{
    Committed, LeaseAnswer, MemberStatus, RangePage, Refusal, StreamReader, WatchCursor,
    WatchEvent, WatchStep, WireError, read,
};

/// Bytes that are held of one revision.
const HELD: usize = 64;

/// The steps of a watch that gets these bytes in pieces, up to its first error.
fn steps(data: &[u8], piece: usize) -> Vec<Result<WatchStep, WireError>> {
    let mut reader = StreamReader::up_to(1 << 16);
    let mut cursor = WatchCursor::before(2, HELD);
    let mut steps = Vec::new();
    let mut last = 1;
    let mut pieces = data.chunks(piece.max(1));
    loop {
        let is_end = match pieces.next() {
            Some(piece) => {
                reader.add(piece).expect("no message is longer than all");
                false
            }
            None => {
                reader.end();
                true
            }
        };
        while let Some(step) = reader
            .take()
            .and_then(|answer| answer.map(|answer| cursor.take(answer)).transpose())
            .transpose()
        {
            match &step {
                Ok(WatchStep::Events(_, events)) => check(events, &mut last),
                Ok(WatchStep::Created(store)) => cursor.is_the_same(store),
                _ => {}
            }
            let is_error = step.is_err();
            steps.push(step);
            if is_error {
                return steps;
            }
        }
        if is_end {
            return steps;
        }
    }
}

/// Events of one step are in order, and of later revisions than those before.
fn check(events: &[WatchEvent], last: &mut u64) {
    assert!(events.is_sorted_by_key(WatchEvent::revision));
    assert!(events.first().is_none_or(|event| event.revision() > *last));
    *last = events.last().map_or(*last, WatchEvent::revision);
}

fuzz_target!(|data: &[u8]| {
    let Some((piece, data)) = data.split_first() else {
        return;
    };
    assert_eq!(steps(data, data.len()), steps(data, usize::from(*piece)));
    // Whatever they say.
    let _ = RangePage::read(data);
    let _ = Committed::read(data);
    let _ = read::<MemberStatus>(data);
    let _ = read::<LeaseAnswer>(data);
    assert!(!Refusal::read(503, data).message.is_empty() || data.len() > 10);
});
