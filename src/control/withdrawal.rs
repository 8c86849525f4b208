//! Withdrawal of an order that is being carried out.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Sign by which an order that waits (for a check, for other changes, for the disk) is withdrawn: its change does not go
/// live after that. The swap looks at it under the lock of the index.
#[derive(Debug, Clone, Default)]
pub(super) struct Withdrawal(Arc<AtomicBool>);

impl Withdrawal {
    pub(super) fn withdraw(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
