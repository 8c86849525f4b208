//! Secrets that sign requests to hooks.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;

use super::error::HookError;
use crate::config::SecretSpec;

/// Prefix that generators of Standard Webhooks put before a secret.
const PREFIX: &str = "whsec_";
/// Lengths of a key in bytes, by Standard Webhooks.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// Reads a secret: base64 of 24 to 64 bytes.
///
/// # Errors
/// If it cannot be read or used.
pub(super) fn load(spec: &SecretSpec) -> Result<hmac::Key, HookError> {
    let text = match (&spec.file, &spec.env) {
        (Some(path), _) => fs::read_to_string(path).map_err(|source| HookError::SecretFile {
            path: path.clone(),
            source,
        })?,
        (None, variable) => {
            let variable = variable.clone().unwrap_or_default();
            std::env::var(&variable).map_err(|_| HookError::SecretMissing(variable))?
        }
    };
    key(text.trim()).ok_or(HookError::WeakSecret)
}

/// The key of a secret.
pub(super) fn key(text: &str) -> Option<hmac::Key> {
    let text = text.strip_prefix(PREFIX).unwrap_or(text);
    let bytes = STANDARD.decode(text).ok()?;
    LENGTHS
        .contains(&bytes.len())
        .then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_base64_of_24_to_64_bytes_with_or_without_its_prefix() {
        let of = |length: usize| STANDARD.encode(vec![7; length]);
        for good in [of(24), of(64), format!("whsec_{}", of(32))] {
            assert!(key(&good).is_some(), "{good}");
        }
        for bad in [of(23), of(65), String::new(), "not base64!".to_owned()] {
            assert!(key(&bad).is_none(), "{bad}");
        }
    }
}
