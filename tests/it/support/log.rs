//! The access log of a test's proxy, in memory.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use switchback::telemetry::{AccessFormat, AccessLog, AccessLogGuard};

/// The bytes written so far.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

/// An access log whose lines can be read.
pub(crate) struct MemoryLog {
    written: Written,
    _thread: AccessLogGuard,
}

impl MemoryLog {
    /// An empty log, and the handle for the proxy.
    pub(crate) fn new() -> (AccessLog, Self) {
        let written = Written::default();
        let (log, thread) = AccessLog::new(written.clone(), AccessFormat::Json, 4096);
        let own = Self {
            written,
            _thread: thread,
        };
        (log, own)
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let written = self.written.0.lock().unwrap();
        let text = std::str::from_utf8(&written).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
