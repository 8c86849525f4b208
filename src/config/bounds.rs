//! Bounds of numbers and durations.

use super::{Config, Http2Limits, limits::BUFFER_SIZES};
use crate::model::{HumanDuration, Problem};

/// A number with its bounds.
struct Bound {
    path: &'static str,
    value: usize,
    least: usize,
    most: usize,
    hint: &'static str,
}

const WINDOW_MOST: usize = (1 << 31) - 1;
const BUFFER_LEAST: usize = BUFFER_SIZES[0];
const BUFFER_MOST: usize = BUFFER_SIZES[2];
const ONE_BUFFER: &str = "a head has to fit into one buffer, and the largest has 256KiB";

pub(super) fn numbers(config: &Config, found: &mut Vec<Problem>) {
    for Bound {
        path,
        value,
        least,
        most,
        hint,
    } in bounds(config)
    {
        let message = if value < least {
            format!("{value} is less than {least}")
        } else if value > most {
            format!("{value} is more than {most}")
        } else {
            continue;
        };
        let problem = Problem::new(path, message);
        found.push(if hint.is_empty() {
            problem
        } else {
            problem.hint(hint)
        });
    }
    let (goaway, close) = (
        config.limits.http2.abuse_goaway,
        config.limits.http2.abuse_close,
    );
    windows(&config.limits.http2, found);
    if goaway > close {
        found.push(Problem::new(
            "limits.http2.abuse_goaway",
            format!(
                "{goaway} is more than `abuse_close`, {close}, so the connection would close first"
            ),
        ));
    }
}

/// Checks that no stream window is larger than the connection window.
fn windows(http2: &Http2Limits, found: &mut Vec<Problem>) {
    let (stream, connection) = (http2.stream_window, http2.connection_window);
    if stream.0 > connection.0 {
        let message = format!(
            "{stream} is more than `connection_window`, {connection}, so a stream could never use it"
        );
        found.push(
            Problem::new("limits.http2.stream_window", message)
                .hint("raise `connection_window` to at least as much, or lower `stream_window`"),
        );
    }
}

const fn bound(path: &'static str, value: usize, least: usize, most: usize) -> Bound {
    Bound {
        path,
        value,
        least,
        most,
        hint: "",
    }
}

const fn at_least_one(path: &'static str, value: usize) -> Bound {
    bound(path, value, 1, usize::MAX)
}

impl Bound {
    const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }
}

fn bounds(config: &Config) -> Vec<Bound> {
    let limits = &config.limits;
    let workers = config.workers.unwrap_or(1);
    let mut bounds = vec![
        bound("workers", workers, 1, 1_024).hint("leave it out for one per core"),
        bound("limits.head", limits.head.0, 1_024, BUFFER_MOST).hint(ONE_BUFFER),
        bound(
            "limits.response_head",
            limits.response_head.0,
            1_024,
            BUFFER_MOST,
        )
        .hint(ONE_BUFFER),
        bound("limits.head_fields", limits.head_fields, 16, 100),
        bound(
            "limits.response_head_fields",
            limits.response_head_fields,
            16,
            1_000,
        ),
        bound("limits.target", limits.target.0, 8_000, BUFFER_MOST)
            .hint("RFC 9112 recommends at least 8000 bytes"),
        bound("limits.method", limits.method.0, 16, 256),
        bound("limits.buffer", limits.buffer.0, BUFFER_LEAST, BUFFER_MOST)
            .hint("there are buffers of 16KiB, 64KiB and 256KiB"),
        bound("limits.retry_body", limits.retry_body.0, 0, 1 << 20)
            .hint("each request in flight may hold as much"),
        bound(
            "sessions.mcp_starts",
            config.sessions.mcp_starts.0,
            0,
            1 << 30,
        )
        .hint("a session takes about 1 KiB"),
        at_least_one("limits.connections", limits.connections),
        at_least_one("limits.upstream_connections", limits.upstream_connections),
        at_least_one("limits.requests", limits.requests),
        at_least_one("history.keep", config.history.keep),
        bound(
            "sessions.learned_ids",
            config.sessions.learned_ids,
            0,
            1 << 24,
        )
        .hint("each takes 65 bytes; 0 learns none"),
        at_least_one(
            "health_checks.concurrency",
            config.health_checks.concurrency,
        ),
        at_least_one("access_log.queue", config.access_log.queue),
        at_least_one("feedback.per_client", config.feedback.per_client as usize),
        at_least_one("feedback.rate", config.feedback.rate as usize),
        bound("admin.max_body", config.admin.max_body.0, 1_024, 1 << 30),
        bound("admin.max_table", config.admin.max_table.0, 1_024, 1 << 30),
    ];
    bounds.extend(http2_bounds(&limits.http2));
    bounds
}

fn http2_bounds(http2: &Http2Limits) -> Vec<Bound> {
    let largest = 1 << 24;
    let (window, connection) = (http2.stream_window.0, http2.connection_window.0);
    vec![
        at_least_one("limits.http2.streams", http2.streams as usize),
        bound("limits.http2.stream_window", window, 16_384, WINDOW_MOST),
        bound(
            "limits.http2.connection_window",
            connection,
            65_535,
            WINDOW_MOST,
        ),
        bound("limits.http2.frame", http2.frame.0, 16_384, 16_777_215)
            .hint("HTTP/2 allows 16384 to 16777215"),
        bound(
            "limits.http2.header_list",
            http2.header_list.0,
            1_024,
            largest,
        ),
        bound(
            "limits.http2.send_buffer",
            http2.send_buffer.0,
            4_096,
            largest,
        ),
        at_least_one("limits.http2.abuse_close", http2.abuse_close as usize),
    ]
}

/// Checks durations: a timeout of zero would refuse everything. To disable one, leave it out or make it long.
pub(super) fn spans(config: &Config, found: &mut Vec<Problem>) {
    let (times, dns) = (&config.timeouts, &config.discovery);
    let always = [
        ("timeouts.tls_handshake", times.tls_handshake),
        ("timeouts.head", times.head),
        ("timeouts.body", times.body),
        ("timeouts.keep_alive", times.keep_alive),
        ("timeouts.http2_idle", times.http2_idle),
        ("timeouts.http2_ping", times.http2_ping),
        ("timeouts.http2_ping_answer", times.http2_ping_answer),
        ("timeouts.connect", times.connect),
        ("timeouts.silence", times.silence),
        ("timeouts.websocket_idle", times.websocket_idle),
        ("timeouts.drain", times.drain),
        ("timeouts.converge", times.converge),
        ("history.durable_within", config.history.durable_within),
        ("sessions.max_age", config.sessions.max_age),
        (
            "limits.http2.abuse_window",
            config.limits.http2.abuse_window,
        ),
        ("discovery.min_ttl", dns.min_ttl),
        ("discovery.timeout", dns.timeout),
    ];
    let sometimes = [
        ("timeouts.request", times.request),
        ("timeouts.connection_age", times.connection_age),
        ("timeouts.endpoint_ping", times.endpoint_ping),
    ];
    let sometimes = sometimes
        .into_iter()
        .filter_map(|(path, span)| Some((path, span?)));
    for (path, HumanDuration(span)) in always.into_iter().chain(sometimes) {
        if span.is_zero() {
            found.push(
                Problem::new(path, "a timeout of 0 refuses everything")
                    .hint("leave it out for the default"),
            );
        }
    }
    // The table of learned ids counts in seconds.
    let learned_for = config.sessions.learned_for;
    if learned_for < HumanDuration::seconds(1) {
        let message = format!("{learned_for} is less than 1s");
        let problem = Problem::new("sessions.learned_for", message);
        found.push(problem.hint("`sessions.learned_ids = 0` learns none"));
    }
    if dns.max_ttl < dns.min_ttl {
        let message = format!("{} is less than `min_ttl`, {}", dns.max_ttl, dns.min_ttl);
        found.push(Problem::new("discovery.max_ttl", message));
    }
}
