//! Records that are live and still to be written.

use tokio::sync::oneshot;

use super::record::Entry;

/// A record of a decision that is already live or void.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) entry: Box<Entry>,
    /// Previous imported file, restored by a void record.
    pub(super) imported: Option<Vec<u8>>,
    /// True if a writer process has it, which will write it even if this process ends.
    pub(super) sent: bool,
    /// Notified once it cannot be lost with this process.
    pub(super) safe: Option<oneshot::Sender<()>>,
}

impl Pending {
    pub(super) fn new(entry: Entry) -> Self {
        Self {
            entry: Box::new(entry),
            imported: None,
            sent: false,
            safe: None,
        }
    }

    /// Notifies the waiting task that the record cannot be lost with this process.
    pub(super) fn mark_safe(&mut self) {
        if let Some(safe) = self.safe.take() {
            // The receiver may have given up.
            let _received = safe.send(());
        }
    }
}
