//! Notes of a route's guards about one request, for its head and for its answer.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::message::ResponseFraming;
use crate::table::{Compression, Cors, HeaderRules};

use super::answer_coding::AnswerCoding;
use super::compressors::{Compressor, Compressors};
use super::io::{FieldSink, ResponseParts};
use super::route_cache::CachedRoute;

/// Notes about a request of a route with guards.
#[derive(Default)]
pub(super) struct Guarded {
    /// It has taken its token of the rate limit: it is selected for again without another one.
    pub(super) is_metered: Cell<bool>,
    /// Its credentials are those of the guard, and are not the endpoint's to know.
    pub(super) hides_authorization: Cell<bool>,
    /// Longest body that its route takes, if it does not say how long its own is.
    pub(super) longest_body: Cell<Option<u64>>,
    /// Time that it has waited on paused routes.
    pub(super) paused_for: Cell<Duration>,
    /// The route that gives the response itself, refuses the request or lets it wait.
    pub(super) answered_by: Option<Rc<CachedRoute>>,
    page: RefCell<Option<Page>>,
    coding: RefCell<Option<AnswerCoding>>,
}

/// The page that a request comes from, on a route with rules for other origins.
struct Page {
    cors: Arc<Cors>,
    /// Its origin, if it may read the answer.
    origin: Option<Box<[u8]>>,
}

/// True if the credentials of a request are those of a guard, and not the endpoint's to know.
pub(super) fn hides_authorization(notes: &OnceCell<Box<Guarded>>) -> bool {
    let notes = notes.get();
    notes.is_some_and(|guarded| guarded.hides_authorization.get())
}

impl Guarded {
    /// Forgets all but that the request was metered: the table has changed.
    pub(super) fn reset(&self) {
        self.hides_authorization.set(false);
        self.longest_body.set(None);
        self.page.take();
        self.coding.take();
    }

    /// True if a body that does not say how long it is may be so long.
    pub(super) fn takes_body_of(&self, length: u64) -> bool {
        self.longest_body.get().is_none_or(|most| length <= most)
    }

    /// Notes the origin of a page, if it may read the answer.
    pub(super) fn note_origin(&self, cors: &Arc<Cors>, origin: Option<&[u8]>) {
        self.page.replace(Some(Page {
            cors: Arc::clone(cors),
            origin: origin.map(Into::into),
        }));
    }

    /// Notes what a request says about the coding of its answer.
    pub(super) fn note_coding(&self, coding: AnswerCoding) {
        self.coding.replace(Some(coding));
    }

    /// Decides on the coding of an answer by the rules of its route, and returns the framing that it gets. `may` is false if
    /// others change its body.
    #[cold]
    pub(super) fn code(
        &self,
        compressors: &Rc<Compressors>,
        rules: Option<&Arc<Compression>>,
        (parts, may): (&ResponseParts<'_>, bool),
    ) -> ResponseFraming {
        let mut coding = self.coding.borrow_mut();
        // The table may have changed since the request was noted.
        if !coding.as_ref().is_some_and(|coding| coding.is_by(rules)) {
            coding.take();
        }
        let framing = parts.facts.framing;
        let coding = coding.as_ref();
        coding.map_or(framing, |coding| coding.decide(compressors, parts, may))
    }

    /// True if what the head of the answer says about its bytes does not hold for what the client gets.
    pub(super) fn is_recoded(&self) -> bool {
        let coding = self.coding.borrow();
        coding.as_ref().is_some_and(AnswerCoding::is_other)
    }

    /// The compressor of the answer, if it is compressed.
    pub(super) fn take_compressor(&self) -> Option<Box<Compressor>> {
        self.coding.borrow().as_ref()?.take_compressor()
    }

    /// True if the answer is compressed, and its body has not begun.
    pub(super) fn has_compressor(&self) -> bool {
        let coding = self.coding.borrow();
        coding.as_ref().is_some_and(AnswerCoding::has_compressor)
    }

    /// Writes the fields about the coding of the answer. `rules` are the changes of the route.
    pub(super) fn write_coding(
        &self,
        parts: &ResponseParts<'_>,
        rules: Option<&HeaderRules>,
        out: &mut dyn FieldSink,
    ) {
        if let Some(coding) = &*self.coding.borrow() {
            coding.write(parts, rules, out);
        }
    }

    /// Writes the fields for the page that reads the answer.
    pub(super) fn write_cors(&self, out: &mut dyn FieldSink) {
        if let Some(page) = &*self.page.borrow() {
            for (name, value) in page.cors.answer(page.origin.as_deref()) {
                out.add(name, value);
            }
        }
    }

    /// Writes the fields of the answer to a preflight.
    pub(super) fn write_preflight(&self, out: &mut dyn FieldSink) {
        if let Some(page) = &*self.page.borrow()
            && let Some(origin) = &page.origin
        {
            for (name, value) in page.cors.preflight(origin) {
                out.add(name, value);
            }
        }
    }
}
