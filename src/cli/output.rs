//! Output of a subcommand, and standard output.

use std::io::Write as _;

/// Output of a subcommand: as text, and as JSON.
#[derive(Default)]
pub(super) struct Out {
    pub(super) text: String,
    pub(super) json: Vec<u8>,
}

/// Writes to standard output. A closed pipe is no error: the reader wants no more.
pub(super) fn print(bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let mut out = std::io::stdout().lock();
    let end: &[u8] = if bytes.ends_with(b"\n") { b"" } else { b"\n" };
    let _ = out
        .write_all(bytes)
        .and_then(|()| out.write_all(end))
        .and_then(|()| out.flush());
}
