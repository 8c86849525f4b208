//! Notes of where an answer came from, for those who say later what they think of it: a stamp that goes with the answer
//! and that only holders of the keys can read, or a place in the memory of the worker.

use std::rc::Rc;

use crate::fleet::{AnswerId, GivenAnswer};
use crate::model::{DecisionReason, FeedbackBy, STAMP_FIELD, VariantMarks};
use crate::seal::Stamp;

use super::forward::RequestId;
use super::io::FieldSink;
use super::pins::now_seconds;
use super::stage::Committed;

/// An answer as its stamp and the memory have it, beside its origin.
struct Note {
    number: u64,
    /// Key of its session, if it has one.
    session: Option<u64>,
    variants: VariantMarks,
}

/// Notes an answer in the ways that its route asks for. One to a request that named its release itself is not noted: those
/// who look at a release before it gets traffic say nothing about how it serves.
#[inline(never)]
pub(super) fn note_answer(committed: Committed<'_>, out: &mut dyn FieldSink) {
    let Committed { context, selected } = committed;
    if selected.decision.reason == DecisionReason::Override {
        return;
    }
    let route = selected.route();
    let session = context.session.get().key();
    let flags = route.flags();
    let marks = flags.map(|flags| flags.marks(selected.decision.flags).collect());
    let note = Note {
        number: context.worker.random(),
        session: session.filter(|_| route.has_sessions()),
        variants: marks.unwrap_or_default(),
    };
    if route.is_stamped() {
        write_stamp(committed, &note, out);
    }
    if !route.spec().feedback_by.is_empty() {
        remember(committed, &note);
    }
}

fn write_stamp(committed: Committed<'_>, note: &Note, out: &mut dyn FieldSink) {
    let Committed { context, selected } = committed;
    let Some(ring) = context.worker.shared.settings.seal.as_deref() else {
        return;
    };
    let (route, release) = (selected.route(), selected.release());
    let stamp = Stamp {
        issued: now_seconds(),
        number: note.number,
        session: note.session.unwrap_or(context.random_key),
        revision: selected.decision.revision.0,
        route: route.spec().name.as_str(),
        release: release.name().as_str(),
        version: release.version().as_str(),
        variants: note.variants.as_bytes(),
    };
    if let Some(sealed) = stamp.seal(ring) {
        out.add(STAMP_FIELD, &sealed);
    }
}

fn remember(committed: Committed<'_>, note: &Note) {
    let Committed { context, selected } = committed;
    let by = &selected.route().spec().feedback_by;
    let has_session = by.contains(&FeedbackBy::Session) && note.session.is_some();
    let id = match &context.id {
        RequestId::Given(id) => AnswerId::Given(id),
        RequestId::Own(number) => AnswerId::Own(*number),
    };
    let id = by.contains(&FeedbackBy::RequestId).then_some(id);
    if id.is_none() && !has_session {
        return;
    }
    let answer = GivenAnswer {
        origin: Rc::clone(selected.decision.origin()),
        revision: selected.decision.revision,
        number: note.number,
        session: note.session.unwrap_or(context.random_key),
        variants: note.variants.as_bytes().into(),
        at_ms: context.worker.cached_now_ms(),
    };
    let mut answers = context.worker.answers.borrow_mut();
    answers.remember(answer, id, has_session);
}
