//! Access log: one line per request, through a bounded queue that never blocks a worker; lines that do not
//! fit are dropped and counted.
//!
//! A line holds no query, cookie, token or other header value, since those are often secrets; the combined format holds
//! `Referer`, without its user, query and fragment, and `User-Agent`.

use std::{
    borrow::Cow,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use super::{
    Escaped, access_common::write_common, access_record::AccessRecord,
    batched_writer::BatchedWriter, escape::escape_json, names,
};

/// A whole, of which a part of the successful requests is written.
const MILLION: u32 = 1_000_000;

/// Format of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessFormat {
    /// The Common Log Format, with the referrer and the user agent.
    Combined,
    /// The Common Log Format of web servers.
    Common,
    /// One JSON object.
    Json,
    /// Plain text.
    Text,
}

/// The access log, if enabled. Each worker has a copy.
#[derive(Debug, Clone, Default)]
pub struct AccessLog(Option<ActiveLog>);

#[derive(Debug, Clone)]
struct ActiveLog {
    writer: NonBlocking,
    format: AccessFormat,
    /// Lines of a million successful requests that are written.
    successes: u32,
}

/// Keeps the writer thread alive and counts dropped lines; flushes the queue when dropped.
#[derive(Debug)]
pub struct AccessLogGuard {
    _thread: WorkerGuard,
    dropped: ErrorCounter,
    /// Lines that could not be written.
    lost: Arc<AtomicU64>,
}

impl AccessLogGuard {
    /// Adds the number of dropped lines to the metrics. Call it every few seconds.
    pub fn upkeep(&self) {
        let lost = self.lost.load(Ordering::Relaxed);
        metrics::counter!(names::ACCESS_LOG_DROPPED.0)
            .absolute(self.dropped.dropped_lines() as u64 + lost);
    }
}

impl AccessLog {
    /// Disabled access log.
    pub fn off() -> Self {
        Self(None)
    }

    /// Starts a log with its own writer thread; at most `queue` lines wait for it.
    pub fn new(
        target: impl Write + Send + 'static,
        format: AccessFormat,
        queue: usize,
    ) -> (Self, AccessLogGuard) {
        let lost = Arc::default();
        let (writer, thread) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(queue.max(1))
            .thread_name("access-log")
            .finish(BatchedWriter::new(target, &lost));
        let dropped = writer.error_counter();
        (
            Self(Some(ActiveLog {
                writer,
                format,
                successes: MILLION,
            })),
            AccessLogGuard {
                _thread: thread,
                dropped,
                lost,
            },
        )
    }

    /// The same log, which writes so many of a million successful requests, and all others.
    #[must_use]
    pub fn with_successes(self, of_million: u32) -> Self {
        Self(self.0.map(|on| ActiveLog {
            successes: of_million,
            ..on
        }))
    }

    /// True if a successful request with this random number is to be written.
    pub fn takes_success(&self, random: u64) -> bool {
        let written = self.0.as_ref().map_or(0, |on| on.successes);
        (u128::from(random) * u128::from(MILLION)) >> 64 < u128::from(written)
    }

    /// True if a line needs the referrer and the user agent.
    pub fn wants_agent(&self) -> bool {
        let format = self.0.as_ref().map(|on| on.format);
        format == Some(AccessFormat::Combined)
    }

    /// True if enabled, so that callers can skip building a record.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Queues a line; never waits.
    pub fn write(&mut self, record: &AccessRecord<'_>) {
        let Some(on) = &mut self.0 else { return };
        let mut line = Vec::with_capacity(512);
        let formatted = match on.format {
            AccessFormat::Combined => write_common(&mut line, record, true).is_ok(),
            AccessFormat::Common => write_common(&mut line, record, false).is_ok(),
            AccessFormat::Json => write_json(&mut line, record).is_ok(),
            AccessFormat::Text => write_text(&mut line, record).is_ok(),
        };
        if formatted {
            line.push(b'\n');
            // The writer counts lines dropped by a full queue.
            let _counted = on.writer.write_all(&line);
        }
    }
}

fn write_json(line: &mut Vec<u8>, record: &AccessRecord<'_>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *line, record)?;
    if let Cow::Owned(escaped) = escape_json(line) {
        *line = escaped;
    }
    Ok(())
}

fn write_text(line: &mut Vec<u8>, record: &AccessRecord<'_>) -> std::io::Result<()> {
    let AccessRecord {
        client,
        method,
        host,
        path,
        protocol,
        status,
        outcome,
        ..
    } = record;
    write!(
        line,
        "{} {client} {protocol} {} {}{} {status} {outcome}",
        humantime::format_rfc3339_millis(record.time),
        Escaped(method),
        Escaped(host),
        Escaped(path),
    )?;
    if let (Some(route), Some(release)) = (record.route, record.release) {
        write!(line, " route={route} release={release}")?;
    }
    if let Some(endpoint) = record.endpoint {
        write!(line, " endpoint={endpoint}")?;
    }
    if let Some(error) = record.error {
        write!(line, " error={error}")?;
    }
    if let Some(field) = record.field {
        write!(line, " field={field}")?;
    }
    let decision = record.decision.unwrap_or("-");
    write!(
        line,
        " revision={} decision={decision} duration={:.1}ms",
        record.revision,
        record.duration.as_secs_f64() * 1e3
    )?;
    write!(
        line,
        " in={} out={} id={}",
        record.bytes_in,
        record.bytes_out,
        Escaped(record.request_id)
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::{Duration, SystemTime};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn record() -> AccessRecord<'static> {
        AccessRecord {
            time: SystemTime::UNIX_EPOCH,
            request_id: "r1",
            client: [127, 0, 0, 1].into(),
            protocol: "HTTP/1.1",
            method: "GET",
            host: "a.example",
            path: "/x",
            status: 200,
            outcome: "good",
            error: None,
            field: None,
            route: Some("chat"),
            release: Some("blue"),
            version: Some("1.0.0"),
            endpoint: Some("127.0.0.1:1".parse().unwrap()),
            revision: 7,
            decision: Some("split"),
            attempts: 1,
            attempt_error: None,
            duration: Duration::from_micros(1500),
            first_byte: Some(Duration::from_millis(1)),
            bytes_in: 0,
            bytes_out: 12,
            referer: Some("https://b.example/\"y"),
            user_agent: None,
        }
    }

    fn written(format: AccessFormat) -> String {
        let target = Shared::default();
        let (mut log, guard) = AccessLog::new(target.clone(), format, 16);
        log.write(&record());
        drop(guard);
        let bytes = target
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_is_one_object() {
        let value: serde_json::Value = serde_json::from_str(&written(AccessFormat::Json)).unwrap();
        assert_eq!(
            (&value["release"], &value["duration_ms"], &value["time"]),
            (
                &"blue".into(),
                &1.5.into(),
                &"1970-01-01T00:00:00.000Z".into()
            )
        );
        assert!(value.get("error").is_none());
    }

    #[test]
    fn a_text_line_reads_from_left_to_right() {
        let line = written(AccessFormat::Text);
        assert_eq!(
            line,
            "1970-01-01T00:00:00.000Z 127.0.0.1 HTTP/1.1 GET a.example/x 200 good route=chat release=blue endpoint=127.0.0.1:1 \
             revision=7 decision=split duration=1.5ms in=0 out=12 id=r1\n"
        );
    }

    #[test]
    fn a_line_for_web_servers_has_what_their_readers_expect() {
        assert_eq!(
            written(AccessFormat::Common),
            "127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] \"GET /x HTTP/1.1\" 200 12\n"
        );
        let combined = written(AccessFormat::Combined);
        assert!(
            combined.ends_with(" 200 12 \"https://b.example/\\\"y\" \"-\"\n"),
            "{combined}"
        );
    }

    #[test]
    fn a_part_of_the_successful_requests_is_written() {
        let of = |successes| {
            let (log, _guard) = AccessLog::new(Shared::default(), AccessFormat::Json, 1);
            log.with_successes(successes)
        };
        let tenth = u64::MAX / 10;
        assert!(of(100_000).takes_success(tenth - 1));
        assert!(!of(100_000).takes_success(tenth + 20));
        assert!(of(MILLION).takes_success(u64::MAX));
        assert!(!of(0).takes_success(0));
    }

    #[test]
    fn a_line_is_one_line_whatever_a_client_sends() {
        let forged = AccessRecord {
            path: "/x\u{2028}y\u{85}\u{202E}\n",
            ..record()
        };
        let mut line = Vec::new();
        write_text(&mut line, &forged).unwrap();
        let line = String::from_utf8(line).unwrap();
        let mut json = Vec::new();
        write_json(&mut json, &forged).unwrap();
        let json = String::from_utf8(json).unwrap();
        assert!(
            json.contains(r#""path":"/x\u2028y\u0085\u202e\n""#),
            "{json}"
        );
        assert!(
            line.contains(r"a.example/x\u{2028}y\u{85}\u{202e}\n 200"),
            "{line}"
        );
    }

    #[test]
    fn a_log_that_is_off_takes_nothing() {
        assert!(!AccessLog::off().is_on());
        AccessLog::off().write(&record());
    }
}
