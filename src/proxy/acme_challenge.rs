//! The question that a certificate authority asks over plain HTTP, answered before routes.

use super::error::ProxyError;
use super::io::RequestParts;
use super::settings::{PeerInfo, ProxySettings};

/// Lets a request pass, unless it is the question of an order that is under way: then its end is the answer.
///
/// # Errors
/// The answer.
pub(super) fn pass(
    settings: &ProxySettings,
    peer: PeerInfo,
    parts: &RequestParts<'_>,
) -> Result<(), ProxyError> {
    match &settings.acme {
        Some(challenges) if !peer.is_secure => {
            let answer = challenges.answer(parts.facts.target.path);
            answer.map_or(Ok(()), |answer| Err(ProxyError::AcmeChallenge(answer)))
        }
        _ => Ok(()),
    }
}
