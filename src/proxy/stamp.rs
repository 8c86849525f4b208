//! The stamp of an answer: says later, to those who hold the keys, which release gave it.

use crate::model::{DecisionReason, STAMP_FIELD, VariantMarks};
use crate::seal::Stamp;

use super::io::FieldSink;
use super::pins::now_seconds;
use super::stage::Committed;

/// Writes the stamp of an answer. One to a request that named its release itself gets none: those who look at a release
/// before it gets traffic say nothing about how it serves.
#[cold]
pub(super) fn write_stamp(committed: Committed<'_>, out: &mut dyn FieldSink) {
    let Committed { context, selected } = committed;
    let worker = &context.worker;
    let Some(ring) = worker.shared.settings.seal.as_deref() else {
        return;
    };
    if selected.decision.reason == DecisionReason::Override {
        return;
    }
    let release = selected.release();
    let route = selected.route();
    let session = context.session.get().key();
    let session = session.filter(|_| route.has_sessions());
    let variants: VariantMarks = route
        .flags()
        .map(|flags| flags.marks(selected.decision.flags).collect())
        .unwrap_or_default();
    let stamp = Stamp {
        issued: now_seconds(),
        number: worker.random(),
        session: session.unwrap_or(context.random_key),
        revision: selected.decision.revision.0,
        route: route.spec().name.as_str(),
        release: release.name().as_str(),
        version: release.version().as_str(),
        variants: variants.as_bytes(),
    };
    if let Some(sealed) = stamp.seal(ring) {
        out.add(STAMP_FIELD, &sealed);
    }
}
