//! Hooks of the configuration, with their secrets and certificates.

use crate::{
    config::Config,
    hooks::{HookError, HookSet},
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

fn problem(at: &str, error: &HookError) -> Problem {
    let (key, hint) = match error {
        HookError::Tls(_) => ("ca", "it is a PEM file of certificates"),
        HookError::SecretFile { .. } | HookError::SecretMissing(_) | HookError::WeakSecret => {
            ("secrets", "make one with `openssl rand -base64 32`")
        }
    };
    Problem::new(format!("{at}.{key}"), ErrorChain(error).to_string()).hint(hint)
}
