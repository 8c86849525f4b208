//! The log of what an operator did or must know.

use std::io;

use thiserror::Error;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Why the log could not be started.
#[derive(Debug, Error)]
pub enum LogError {
    /// The level or one of its directives is not one.
    #[error("`{directives}` is not a log level")]
    Level {
        /// What was given.
        directives: String,
        /// Why it is none.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
}

/// Libraries through whose hands messages and keys go. Below a warning they may say what a message held, so that is
/// never written, whatever the level: no credential of a client is in the log.
const CONFIDENTIAL: [&str; 7] = [
    "axum",
    "http",
    "httparse",
    "hyper",
    "hyper_util",
    "rustls",
    "tower_http",
];

/// Whether a line may be written at all.
fn may_be_said(line: &Metadata<'_>) -> bool {
    let target = line.target();
    let library = target.split_once("::").map_or(target, |(name, _)| name);
    *line.level() <= Level::WARN || !CONFIDENTIAL.contains(&library)
}

/// Starts the process's log on standard error. A log that was started before stays.
///
/// # Errors
/// When the level cannot be read.
pub fn start_log(directives: &str, json: bool) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(directives).map_err(|source| LogError::Level {
        directives: directives.to_owned(),
        source,
    })?;
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(may_be_said));
    // An error means that a log was started before, as tests do.
    let _already_started = if json {
        registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(io::stderr),
            )
            .try_init()
    } else {
        registry
            .with(fmt::layer().with_ansi(false).with_writer(io::stderr))
            .try_init()
    };
    Ok(())
}
