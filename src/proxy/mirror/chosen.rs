//! A request that was chosen to be mirrored, while it is served: its copy grows as its body is read.

use std::cell::RefCell;
use std::sync::Arc;

use super::json_body::JsonBody;
use super::outbox::Outbox;
use super::request_copy::{CopiedHead, RequestCopy};
use super::room::RoomShare;
use crate::model::MirrorSkip;
use crate::proxy::io::{BodyFrame, HeadFields};
use crate::stats::MirroredAnswer;
use crate::table::Mirror;

/// A chosen request.
pub(in crate::proxy) struct Chosen {
    mirror: Arc<Mirror>,
    kept: RefCell<Result<Kept, MirrorSkip>>,
    /// The body of its own answer, if answers are compared as JSON.
    answer: Option<Box<RefCell<JsonBody>>>,
}

/// The copy so far.
struct Kept {
    copy: RequestCopy,
    /// Nothing of the body is missing.
    is_over: bool,
    share: RoomShare,
}

// === impl Chosen ===

impl Chosen {
    /// A request that will not be copied, for this reason.
    pub(in crate::proxy) fn skipped(mirror: &Arc<Mirror>, reason: MirrorSkip) -> Self {
        Self {
            mirror: Arc::clone(mirror),
            kept: RefCell::new(Err(reason)),
            answer: None,
        }
    }

    /// A request with this head, and the start of its body.
    pub(in crate::proxy) fn new(
        mirror: &Arc<Mirror>,
        head: CopiedHead,
        (body, is_over): (Vec<u8>, bool),
        outbox: &Outbox,
    ) -> Self {
        let mut share = outbox.room().share();
        let fits = share.grow_to(head.len() + body.len());
        let is_short = body.len() <= mirror.spec().max_body.0;
        let kept = Kept {
            copy: RequestCopy { head, body },
            is_over,
            share,
        };
        let kept = match (is_short, fits) {
            (false, _) => Err(MirrorSkip::Body),
            (true, false) => Err(MirrorSkip::Memory),
            (true, true) => Ok(kept),
        };
        let compares = mirror.spec().compare_json.as_ref().filter(|_| kept.is_ok());
        let answer = compares.map(|spec| JsonBody::new(spec.max_body.0, outbox.room().share()));
        Self {
            answer: answer.map(|answer| Box::new(RefCell::new(answer))),
            mirror: Arc::clone(mirror),
            kept: RefCell::new(kept),
        }
    }

    /// True if this is the mirror that it was chosen for.
    pub(in crate::proxy) fn is_for(&self, mirror: &Arc<Mirror>) -> bool {
        Arc::ptr_eq(&self.mirror, mirror)
    }

    /// Keeps a part of the body that was read.
    pub(in crate::proxy) fn read(&self, frame: &BodyFrame<'_>) {
        let mut kept = self.kept.borrow_mut();
        if let Ok(own) = &mut *kept
            && let Err(reason) = own.append(frame, self.mirror.spec().max_body.0)
        {
            *kept = Err(reason);
        }
    }

    /// Begins to keep the body of its own answer, if it is one that is compared.
    pub(in crate::proxy) fn begin_answer(&self, fields: HeadFields<'_>) {
        if let Some(answer) = &self.answer {
            answer.borrow_mut().begin(fields);
        }
    }

    /// True if the body of its own answer is kept.
    pub(in crate::proxy) fn keeps_answer(&self) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|answer| answer.borrow().is_kept())
    }

    /// Keeps a part of the body of its own answer.
    pub(in crate::proxy) fn read_answer(&self, data: &[u8]) {
        if let Some(answer) = &self.answer {
            answer.borrow_mut().read(data);
        }
    }

    /// Forgets an answer of which its client has got nothing.
    pub(in crate::proxy) fn forget_answer(&self) {
        if let Some(answer) = &self.answer {
            answer.borrow_mut().forget();
        }
    }

    /// Hands the copy over if the original has an answer, and counts what becomes of it.
    pub(in crate::proxy) fn finish(self, original: Option<MirroredAnswer>, outbox: &Outbox) {
        let mirror = self.mirror;
        let skipped = match (self.kept.into_inner(), original) {
            (Err(reason), _) => Some(reason),
            (Ok(kept), Some(original)) if kept.is_over => {
                let json = self.answer.map(|answer| answer.into_inner());
                let kept = (kept.copy, kept.share);
                outbox.send(&mirror, kept, (original, json)).err()
            }
            (Ok(_), _) => Some(MirrorSkip::Unfinished),
        };
        if let Some(reason) = skipped {
            mirror.counters().record_skipped(reason);
        }
    }
}

// === impl Kept ===

impl Kept {
    fn append(&mut self, frame: &BodyFrame<'_>, most: usize) -> Result<(), MirrorSkip> {
        let body = &mut self.copy.body;
        if body.len() + frame.data.len() > most {
            return Err(MirrorSkip::Body);
        }
        body.extend_from_slice(frame.data);
        self.is_over |= frame.last;
        // The allocation counts, not its use.
        let length = self.copy.head.len() + self.copy.body.capacity();
        if self.share.grow_to(length) {
            Ok(())
        } else {
            Err(MirrorSkip::Memory)
        }
    }
}
