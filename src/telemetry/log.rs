//! The program log, for operators.

use std::{
    fmt::{Debug, Write as _},
    io,
};

use tracing::{Level, Metadata, field::Field};
use tracing_subscriber::{
    field::MakeExt as _,
    filter::filter_fn,
    fmt::{
        self,
        format::{Writer, debug_fn},
    },
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use super::{
    escape::{EscapingWriter, JsonLines},
    log_level::{LogError, filter},
};

/// Libraries that process messages and keys. Below a warning they may log content, so that is never written, whatever
/// the level: no credential of a client is in the log.
const CONFIDENTIAL: [&str; 7] = [
    "axum",
    "http",
    "httparse",
    "hyper",
    "hyper_util",
    "rustls",
    "tower_http",
];

/// True if an event may be logged at all.
fn is_loggable(line: &Metadata<'_>) -> bool {
    let target = line.target();
    let library = target.split_once("::").map_or(target, |(name, _)| name);
    *line.level() <= Level::WARN || !CONFIDENTIAL.contains(&library)
}

/// Writes a field of a plain-text line. Values may come from clients, so they are escaped to keep it one line.
fn write_field(out: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let mut out = EscapingWriter(out);
    match field.name() {
        "message" => write!(out, "{value:?}"),
        name => write!(out, "{name}={value:?}"),
    }
}

/// Starts the process's log on standard error. Does nothing if a log was started before.
///
/// # Errors
/// If the level is invalid.
pub fn start_log(directives: &str, json: bool) -> Result<(), LogError> {
    let filter = filter(directives)?;
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(is_loggable));
    // An error means that a log was started before, as tests do.
    let _already_started = if json {
        registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(|| JsonLines(io::stderr())),
            )
            .try_init()
    } else {
        registry
            .with(
                fmt::layer()
                    .with_ansi(false)
                    .fmt_fields(debug_fn(write_field).delimited(" "))
                    .with_writer(io::stderr),
            )
            .try_init()
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Lines {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn nobody_forges_a_line_of_json_either() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(move || JsonLines(writer.clone()));
        let forged = "x\u{2028}y\u{85}\u{202E}z\n";
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(note = forged, "because of {forged}");
        });
        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains(r"because of x\u2028y\u0085\u202ez\n"), "{log}");
        let line: serde_json::Value = serde_json::from_str(&log).unwrap();
        assert_eq!(line["note"], forged);
    }

    fn logged(log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let layer = fmt::layer()
            .with_ansi(false)
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .with_writer(lines.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn nobody_forges_a_line_of_the_log() {
        let forged = "x\n2026-01-01T00:00:00Z  INFO audit: a revision is live \u{1b}[2K";
        let log = logged(|| {
            tracing::info!(
                note = forged,
                name = %forged,
                other = ?forged,
                "a revision is live because of {forged}"
            );
        });
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(!log.contains('\u{1b}'), "{log}");
        assert!(
            log.contains(r"because of x\n2026") && log.contains("note=\"x"),
            "{log}"
        );
    }
}
