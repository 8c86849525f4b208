//! Hooks of the configuration and its Prometheus, with their secrets and certificates.

use crate::{
    config::Config,
    hooks::{HookError, HookSet, Prometheus},
    model::Problem,
    telemetry::ErrorChain,
};

/// The hooks of a configuration.
///
/// # Errors
/// A problem of each hook that cannot be used.
pub(super) fn load(config: &Config) -> Result<HookSet, Vec<Problem>> {
    HookSet::load(&config.hooks).map_err(|errors| {
        let problem = |(name, error)| problem(&format!("hooks.{name}"), &error);
        errors.into_iter().map(problem).collect()
    })
}

/// The Prometheus of a configuration, if there is one.
///
/// # Errors
/// The problem for which it cannot be used.
pub(super) fn load_prometheus(config: &Config) -> Result<Option<Prometheus>, Problem> {
    Prometheus::load(&config.prometheus).map_err(|error| {
        let key = match error {
            HookError::Tls(_) => "ca",
            _ => "token",
        };
        Problem::new(format!("prometheus.{key}"), ErrorChain(&error).to_string())
    })
}

fn problem(at: &str, error: &HookError) -> Problem {
    let (key, hint) = match error {
        HookError::Tls(_) => ("ca", "it is a PEM file of certificates"),
        HookError::SecretFile { .. } | HookError::SecretMissing(_) | HookError::WeakSecret => {
            ("secrets", "make one with `openssl rand -base64 32`")
        }
    };
    Problem::new(format!("{at}.{key}"), ErrorChain(error).to_string()).hint(hint)
}
