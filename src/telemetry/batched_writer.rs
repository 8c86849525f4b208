//! A writer that gathers lines before it writes them.
//!
//! The thread of the access log sleeps for [`GATHER`] at the end of each batch. Lines that come meanwhile wake nobody, which
//! saves the workers a system call for each request, and the thread a turn on their core; and they are written at once.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Time in which lines are gathered.
const GATHER: Duration = Duration::from_millis(10);
/// Bytes that are written without waiting for more.
const ENOUGH: usize = 64 << 10;

/// Writes to its target in batches. A flush ends a batch.
pub(super) struct BatchedWriter<W> {
    target: W,
    batch: Vec<u8>,
    lost: Arc<AtomicU64>,
}

impl<W: Write> BatchedWriter<W> {
    /// A writer to this target; lines that it does not take are added to `lost`.
    pub(super) fn new(target: W, lost: &Arc<AtomicU64>) -> Self {
        Self {
            target,
            batch: Vec::with_capacity(ENOUGH),
            lost: Arc::clone(lost),
        }
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let written = self.target.write_all(&self.batch);
        if written.is_err() {
            let lines = memchr::memchr_iter(b'\n', &self.batch).count() as u64;
            self.lost.fetch_add(lines, Ordering::Relaxed);
        }
        self.batch.clear();
        written?;
        self.target.flush()
    }
}

impl<W: Write> Write for BatchedWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.batch.extend_from_slice(line);
        if self.batch.len() >= ENOUGH {
            self.write_batch()?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        thread::sleep(GATHER);
        self.write_batch()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes what is written at once; fails if it is told to.
    #[derive(Default)]
    struct Target(Vec<String>, bool);

    impl Write for Target {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.0.push(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_lines_of_a_batch_are_written_at_once() {
        let mut writer = BatchedWriter::new(Target::default(), &Arc::default());
        writer.write_all(b"one\n").unwrap();
        writer.write_all(b"two\n").unwrap();
        assert!(writer.target.0.is_empty());
        writer.flush().unwrap();
        writer.flush().unwrap();
        assert_eq!(writer.target.0, ["one\ntwo\n"]);
    }

    #[test]
    fn a_large_batch_waits_for_nothing() {
        let mut writer = BatchedWriter::new(Target::default(), &Arc::default());
        let line = format!("{}\n", "x".repeat(999));
        for _ in 0..100 {
            writer.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(writer.target.0.len(), 1);
        assert!(writer.batch.len() < ENOUGH);
    }

    #[test]
    fn lines_that_the_target_does_not_take_are_counted() {
        let lost = Arc::default();
        let mut writer = BatchedWriter::new(Target(Vec::new(), true), &lost);
        writer.write_all(b"one\n").unwrap();
        writer.write_all(b"two\n").unwrap();
        writer.flush().unwrap_err();
        writer.flush().unwrap();
        assert_eq!(lost.load(Ordering::Relaxed), 2);
        writer.target.1 = false;
        writer.write_all(b"three\n").unwrap();
        writer.flush().unwrap();
        assert_eq!(writer.target.0, ["three\n"]);
    }
}
