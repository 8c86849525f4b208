//! The hooks of the configuration, and the signal that something is owed to one.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::hooks::HookSet;

/// The hooks of the configuration, and a signal for the loop.
#[derive(Debug, Default)]
pub(super) struct HookQueue {
    hooks: Mutex<Arc<HookSet>>,
    /// Wakes the loop when something is owed.
    pub(super) owed: Notify,
}

impl HookQueue {
    /// The hooks.
    pub(super) fn set(&self) -> Arc<HookSet> {
        Arc::clone(&self.hooks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the hooks.
    pub(super) fn replace(&self, hooks: HookSet) {
        *self.hooks.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(hooks);
        self.owed.notify_one();
    }
}
