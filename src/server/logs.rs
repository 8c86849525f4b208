//! Opens the access log that is configured.

use std::{
    fs::OpenOptions,
    io::{self, Write},
};

use super::ServerError;
use crate::{
    config::{AccessLog as Spec, AccessLogFormat},
    telemetry::{AccessFormat, AccessLog, AccessLogGuard},
};

/// The access log, and what keeps its writing thread alive.
pub(super) fn open_access_log(
    spec: &Spec,
) -> Result<(AccessLog, Option<AccessLogGuard>), ServerError> {
    let format = match spec.format {
        AccessLogFormat::Off => return Ok((AccessLog::off(), None)),
        AccessLogFormat::Json => AccessFormat::Json,
        AccessLogFormat::Text => AccessFormat::Text,
    };
    let target: Box<dyn Write + Send> = match &spec.path {
        None => Box::new(io::stdout()),
        Some(path) => {
            let opened = OpenOptions::new().append(true).create(true).open(path);
            Box::new(opened.map_err(|source| ServerError::AccessLog {
                path: path.clone(),
                source,
            })?)
        }
    };
    let (log, guard) = AccessLog::new(target, format, spec.queue);
    Ok((log, Some(guard)))
}
