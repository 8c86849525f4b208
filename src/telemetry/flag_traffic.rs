//! Metrics of flags with key figures, by variant. A table has at most 128 such variants.

use super::{
    names,
    sample::{Buckets, Sink},
};
use crate::{
    fleet::{FlagCellKey, Fleet},
    model::{OpinionSign, OutcomeClass},
    stats::CellSnapshot,
};

/// Writes them all.
pub(super) fn write(sink: &mut dyn Sink, fleet: &Fleet) {
    let cells = fleet.used_flag_cells().into_iter();
    let all: Vec<_> = cells.map(|(key, cells)| (key, cells.snapshot())).collect();
    write_requests(sink, &all);
    write_feedback(sink, &all);
    sink.head(names::FLAG_REQUEST_SECONDS);
    for (key, snapshot) in &all {
        let buckets = Buckets::of(&snapshot.duration);
        sink.histogram(names::FLAG_REQUEST_SECONDS, &labels(key), &buckets);
    }
}

fn write_requests(sink: &mut dyn Sink, all: &[(FlagCellKey, CellSnapshot)]) {
    sink.head(names::FLAG_REQUESTS);
    for (key, snapshot) in all {
        for class in OutcomeClass::ALL {
            let count = snapshot.of_class(class);
            if count > 0 {
                let [flag, variant] = labels(key);
                let labels = [flag, variant, ("outcome", class.as_str())];
                sink.sample(names::FLAG_REQUESTS, &labels, count);
            }
        }
    }
}

fn write_feedback(sink: &mut dyn Sink, all: &[(FlagCellKey, CellSnapshot)]) {
    sink.head(names::FLAG_FEEDBACK);
    let said = all.iter().filter(|(_, cells)| cells.feedback.count() > 0);
    for (key, snapshot) in said {
        for sign in OpinionSign::ALL {
            let [flag, variant] = labels(key);
            let labels = [flag, variant, ("opinion", sign.as_str())];
            let count = snapshot.feedback.of_sign(sign);
            sink.sample(names::FLAG_FEEDBACK, &labels, count);
        }
    }
}

fn labels((flag, variant): &FlagCellKey) -> [(&str, &str); 2] {
    [("flag", flag.as_str()), ("variant", variant.as_str())]
}
