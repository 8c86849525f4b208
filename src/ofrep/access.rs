//! Tokens of applications: read access to flags and to nothing else.

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use thiserror::Error;

/// Shortest token: anything shorter can be guessed.
const SHORTEST: usize = 16;

/// A token that can be guessed, or cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a token has 16 or more visible ASCII characters")]
pub struct WeakToken;

/// The accepted tokens; if there is none, authentication is off.
pub struct Access {
    hashes: Vec<[u8; 32]>,
}

impl Access {
    /// Takes the tokens.
    ///
    /// # Errors
    /// The place of one that is too weak.
    pub fn new(tokens: &[String]) -> Result<Self, (usize, WeakToken)> {
        let hash = |(place, token): (usize, &String)| -> Result<[u8; 32], (usize, WeakToken)> {
            let token = token.trim();
            let fits = token.len() >= SHORTEST && token.bytes().all(|b| b.is_ascii_graphic());
            if !fits {
                return Err((place, WeakToken));
            }
            Ok(Sha256::digest(token.as_bytes()).into())
        };
        let hashes: Result<_, _> = tokens.iter().enumerate().map(hash).collect();
        Ok(Self { hashes: hashes? })
    }

    /// True if a token is required.
    pub(super) fn asks(&self) -> bool {
        !self.hashes.is_empty()
    }

    /// True for a request with a token, as a bearer or in `X-API-Key`, or if none is required.
    pub(super) fn allows(&self, headers: &HeaderMap) -> bool {
        if !self.asks() {
            return true;
        }
        let bearer = headers
            .get(header::AUTHORIZATION)
            .map(|field| bearer(field.as_bytes()));
        let key = headers
            .get("x-api-key")
            .map(|field| field.as_bytes().trim_ascii());
        bearer
            .flatten()
            .or(key)
            .is_some_and(|token| self.has(token))
    }

    /// Compares with every token, even after a match.
    fn has(&self, presented: &[u8]) -> bool {
        let hash: [u8; 32] = Sha256::digest(presented).into();
        let found = self.hashes.iter().map(|known| known.ct_eq(&hash));
        found.fold(Choice::from(0), |all, one| all | one).into()
    }
}

fn bearer(field: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = field.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(access: &Access, name: &'static str, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        access.allows(&headers)
    }

    #[test]
    fn a_token_comes_as_a_bearer_or_as_a_key() {
        let access = Access::new(&[
            "0123456789abcdef\n".to_owned(),
            "another-token-of-ours".to_owned(),
        ])
        .unwrap();
        assert!(allows(&access, "authorization", "Bearer 0123456789abcdef"));
        assert!(allows(
            &access,
            "authorization",
            "bearer another-token-of-ours"
        ));
        assert!(allows(&access, "x-api-key", "another-token-of-ours"));
        assert!(!allows(&access, "authorization", "Bearer 0123456789abcdeg"));
        assert!(!allows(&access, "authorization", "0123456789abcdef"));
        assert!(!allows(&access, "x-api-key", ""));
        assert!(!access.allows(&HeaderMap::new()));
        assert!(Access::new(&[]).unwrap().allows(&HeaderMap::new()));
        assert_eq!(
            Access::new(&["short".to_owned()]).err(),
            Some((0, WeakToken))
        );
    }
}
