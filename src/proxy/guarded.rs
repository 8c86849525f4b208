//! Notes of a route's guards about one request, for its head and for that of its answer.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::table::Cors;

use super::io::FieldSink;
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
