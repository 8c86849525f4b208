//! The history between two processes: released for another one, and taken back if that one fails.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{History, error::HistoryError};

impl History {
    /// Begins to release the lock: from now on nothing may become live that is to be written.
    pub fn begin_release(&self) {
        self.is_released.store(true, Ordering::Relaxed);
    }

    /// True if another process has, or may take, the lock.
    pub fn is_released(&self) -> bool {
        self.is_released.load(Ordering::Relaxed)
    }

    /// Writes what is pending, gives the unused numbers back and releases the lock for another process, while this one goes
    /// on without writing. Blocks, at most so long.
    ///
    /// # Errors
    /// The reason if it is not known to be done; [`History::retake`] is called then as well. [`History::begin_release`] comes
    /// first.
    pub fn release(&self, within: Duration) -> Result<(), String> {
        let (last, deadline) = (self.numbers.last_taken(), Instant::now() + within);
        self.writer.give_back(last, within)?;
        // A start uses the higher of the two, so both must be written.
        let slots = self.slots.as_ref();
        let written = slots.is_none_or(|slots| slots.reserve(last, deadline));
        if written && self.beside.settle(deadline) && self.disk.release(deadline) {
            return Ok(());
        }
        Err("the history's disk does not respond in time".to_owned())
    }

    /// Takes the lock again after [`History::release`], since no other process has made a revision. Blocks.
    ///
    /// # Errors
    /// If the lock, or numbers, cannot be had: the next write tries again.
    pub fn retake(&self) -> Result<(), HistoryError> {
        self.is_released.store(false, Ordering::Relaxed);
        self.disk.retake()?;
        self.reserve_numbers()
    }
}
