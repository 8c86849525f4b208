//! The configuration: a TOML file becomes a [`Config`], or a list of all its problems.
//!
//! Reading has two stages. `read` parses the text into typed values, key by key. Then `check` validates the values
//! against each other, with [`table::compile`](crate::table::compile) for the table, so that the file and the admin API
//! follow the same rules. Each problem has a path, a line and, where useful, a hint.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

mod acme;
mod advice;
mod backups;
mod bounds;
mod calibrate;
mod check;
mod check_acme;
mod check_hooks;
mod cloudwatch;
mod datadog;
mod drills;
mod environment;
mod feedback;
mod file;
mod fleet;
mod fleet_peers;
mod hooks;
mod kubernetes;
mod limits;
mod listener;
mod network;
mod normal_form;
mod ofrep;
mod opentelemetry;
mod part;
mod prometheus;
mod read;
mod sections;
mod self_loop;
mod server_list;
mod sessions;
mod settings;
mod shape;
mod shutdown;
mod spans;
mod syntax;
mod verification;
mod warnings;
mod wrong_key;
mod wrong_secret;
mod wrong_value;

pub use self::{
    acme::{AccountBinding, Acme, AcmeChallenge},
    backups::Backups,
    calibrate::Calibrate,
    check::FileCheck,
    check_hooks::gate_problems,
    cloudwatch::{Cloudwatch, EventTarget},
    datadog::Datadog,
    drills::{Drills, LONGEST_DRILL, MOST_DRILL_SHARE},
    environment::Variables,
    feedback::{Feedback, FeedbackForm},
    file::{Config, Headers, Traceparent, Underscores},
    fleet::FleetSettings,
    fleet_peers::FleetPeerSettings,
    hooks::{HookFormat, HookSpec},
    kubernetes::Kubernetes,
    limits::{BUFFER_SIZES, Http2Limits, ResourceLimits, Timeouts},
    listener::{Certificate, ClientAuth, Listener, ListenerTls, TlsVersion},
    network::Network,
    ofrep::Ofrep,
    opentelemetry::{Opentelemetry, TemporalityName, Traces},
    part::{load_flag, load_release, load_route},
    prometheus::Prometheus,
    sections::{
        AccessLog, AccessLogFormat, Admin, Discovery, HealthChecks, History, Log, LogFormat,
        Observe, Rollback, TokenRole, TokenSpec,
    },
    self_loop::{is_own_listener, own_listeners},
    sessions::{SecretSpec, Sessions},
    settings::{SettingsDigests, changed_settings},
    shutdown::{Shutdown, ShutdownPolicies},
    verification::Verification,
};
use crate::model::Problem;
pub use crate::model::Size;

/// Largest file that is read.
const LARGEST: u64 = 64 << 20;

/// Error of loading a configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file was read and has problems.
    #[error("{}", blocks(.path, .problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All problems.
        problems: Vec<LocatedProblem>,
    },
    /// The file could not be read.
    #[error("`{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

/// A problem with its line in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedProblem {
    /// The line, counted from 1; `None` for a missing key without a line.
    pub line: Option<usize>,
    /// The problem.
    pub problem: Problem,
}

fn blocks(path: &Path, problems: &[LocatedProblem]) -> String {
    let block = |placed: &LocatedProblem| {
        let line = placed.line.map(|line| format!(":{line}"));
        let problem = &placed.problem;
        let file = path.display();
        let line = line.unwrap_or_default();
        if problem.path.is_empty() {
            format!("{file}{line}: {}", UnlocatedProblem(problem))
        } else {
            format!("{file}{line}: {problem}")
        }
    };
    problems.iter().map(block).collect::<Vec<_>>().join("\n\n")
}

/// A problem without its path, for one whose path is empty.
struct UnlocatedProblem<'a>(&'a Problem);

impl fmt::Display for UnlocatedProblem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Reads and validates a file. Relative paths in it are resolved against its folder.
///
/// # Errors
/// When the file cannot be read, with the reason; when it has problems, with all of them.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    load_and(path, |_| Vec::new())
}

/// Reads a file as [`load`] does, with one more rule. If both report the same path, the rule's problem is left out.
///
/// # Errors
/// As [`load`].
pub fn load_and(
    path: &Path,
    rule: impl FnOnce(&Config) -> Vec<Problem>,
) -> Result<Config, ConfigError> {
    let (text, folder) = text_of(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    validate(&text, &folder, FileCheck::MustExist, rule).map_err(|problems| ConfigError::Invalid {
        path: path.to_owned(),
        problems,
    })
}

/// The text of a file, and its folder.
fn text_of(path: &Path) -> io::Result<(String, PathBuf)> {
    if std::fs::metadata(path)?.len() > LARGEST {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    let text = std::fs::read_to_string(path)?;
    let file = std::path::absolute(path)?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    Ok((text, folder.to_owned()))
}

/// Validates a text as the content of a file in that folder.
///
/// # Errors
/// When the text has problems: all of them, in the order of the file.
pub fn parse(text: &str, folder: &Path, files: FileCheck) -> Result<Config, Vec<LocatedProblem>> {
    validate(text, folder, files, |_| Vec::new())
}

fn validate(
    text: &str,
    folder: &Path,
    files: FileCheck,
    rule: impl FnOnce(&Config) -> Vec<Problem>,
) -> Result<Config, Vec<LocatedProblem>> {
    let read::Reader {
        value,
        problems,
        removed,
        variables,
    } = read::read::<Config>(text);
    let with_line = |(line, problem)| LocatedProblem {
        line: Some(line),
        problem,
    };
    let mut placed: Vec<LocatedProblem> = problems.into_iter().map(with_line).collect();
    let Some(mut config) = value else {
        return Err(placed);
    };
    config.variables = variables;
    config.resolve(folder);
    let mut found = check::problems(&mut config, files);
    for problem in rule(&config) {
        if found.iter().all(|other| other.path != problem.path) {
            found.push(problem);
        }
    }
    found.retain(|problem| !check::follows_from(problem, &removed));
    if placed.is_empty() && found.is_empty() {
        return Ok(config);
    }
    let document = toml::de::DeTable::parse(text);
    let lines = document.map(|document| spans::LineIndex::of(text, document.get_ref()));
    placed.extend(found.into_iter().map(|mut problem| {
        LocatedProblem {
            line: lines
                .as_ref()
                .ok()
                .and_then(|lines| lines.find(&problem.path)),
            problem: {
                config.variables.hide(&mut problem);
                problem
            },
        }
    }));
    placed.sort_by_key(|placed| placed.line.unwrap_or(usize::MAX));
    Err(placed)
}
