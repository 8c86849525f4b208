//! `serve`: runs the proxy until a signal ends it.

use std::{error::Error, path::PathBuf};

use super::{
    Out,
    exit::{Exit, Failure},
};
use crate::{
    api::Wins,
    config::{self, Config, ConfigError, LogFormat},
    server::{self, Options, ServerError},
    telemetry::start_log,
};

/// Runs the configuration of a file.
pub(super) fn serve(file: PathBuf, wins: Option<Wins>) -> Result<Out, Failure> {
    let config = config::load(&file).map_err(|error| unreadable(&error))?;
    start_logging(&config)?;
    let options = Options {
        file: Some(file),
        wins,
    };
    server::run(config, options).map_err(|error| not_started(&error))?;
    Ok(Out {
        text: String::new(),
        json: Vec::new(),
    })
}

/// Starts the process's log as it is configured.
pub(super) fn start_logging(config: &Config) -> Result<(), Failure> {
    let json = config.log.format == LogFormat::Json;
    start_log(&config.log.level, json)
        .map_err(|error| Failure::new(Exit::Config, format!("log.level: {error}")))
}

fn unreadable(error: &ConfigError) -> Failure {
    let exit = match error {
        ConfigError::Invalid { .. } => Exit::Config,
        ConfigError::Read { .. } => Exit::NoInput,
    };
    Failure::new(exit, chain(error))
}

/// What to say, and how to end, when switchback does not start.
pub(super) fn not_started(error: &ServerError) -> Failure {
    let exit = match error {
        ServerError::History(_) => Exit::History,
        ServerError::Import(_) => Exit::TryAgain,
        ServerError::Thread(_) | ServerError::Discovery(_) => Exit::Internal,
        ServerError::Access(_)
        | ServerError::AccessLog { .. }
        | ServerError::Bind { .. }
        | ServerError::Config(_)
        | ServerError::Control(_)
        | ServerError::Tls { .. } => Exit::Config,
    };
    Failure::new(exit, chain(error))
}

/// An error with its causes, each told once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
