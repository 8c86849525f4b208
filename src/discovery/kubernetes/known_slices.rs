//! The last answer of the watch of a Service, for those who look for its endpoints.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use super::slice_set::SliceSet;
use crate::fleet::ServiceWatch;

/// The last slices of a Service, and the state of their watch.
#[derive(Debug)]
pub(super) struct KnownSlices {
    slices: ArcSwapOption<SliceSet>,
    /// True once the API server has answered, or has failed to.
    is_asked: AtomicBool,
    watch: Arc<ServiceWatch>,
    changed: Arc<Notify>,
}

impl KnownSlices {
    pub(super) fn new(watch: Arc<ServiceWatch>, changed: Arc<Notify>) -> Self {
        Self {
            slices: ArcSwapOption::empty(),
            is_asked: AtomicBool::new(false),
            watch,
            changed,
        }
    }

    /// The last slices; `None` if there was no list yet.
    pub(super) fn slices(&self) -> Option<Arc<SliceSet>> {
        self.slices.load_full()
    }

    /// State of the watch.
    pub(super) fn watch(&self) -> &ServiceWatch {
        &self.watch
    }

    /// The same, to be kept.
    pub(super) fn shared_watch(&self) -> Arc<ServiceWatch> {
        Arc::clone(&self.watch)
    }

    /// True until a first answer, or a first failure.
    pub(super) fn is_waiting(&self) -> bool {
        !self.is_asked.load(Ordering::Acquire)
    }

    pub(super) fn set(&self, set: SliceSet) {
        self.watch.set_endpoints(set.endpoints());
        self.slices.store(Some(Arc::new(set)));
        self.is_asked.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Ends the waiting for a first answer.
    pub(super) fn asked(&self) {
        if !self.is_asked.swap(true, Ordering::AcqRel) {
            self.changed.notify_one();
        }
    }
}
