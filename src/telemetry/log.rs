//! The log of what an operator did or must know.

use std::io;

use thiserror::Error;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

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

/// Starts the process's log on standard error. A log that was started before stays.
///
/// # Errors
/// When the level cannot be read.
pub fn start_log(directives: &str, json: bool) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(directives).map_err(|source| LogError::Level {
        directives: directives.to_owned(),
        source,
    })?;
    let registry = tracing_subscriber::registry().with(filter);
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
