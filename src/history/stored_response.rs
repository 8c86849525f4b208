//! The answer that a request under an idempotency key got, as it is kept for a repeat.

use serde::{Deserialize, Serialize};

use super::seal::{self, DecodeError};
use crate::model::{Digest, Revision};

/// A kept answer, and of which request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredResponse {
    /// The digest of the request.
    pub request: Digest,
    /// The revision that the answer names as its `ETag`.
    pub revision: Revision,
    /// When it was given, in milliseconds since 1970.
    pub given_at_ms: u64,
    /// The answer itself.
    pub body: String,
}

/// What becomes of the answer under a key: it is written, or forgotten.
pub type AnswerRow = (String, Option<StoredResponse>);

pub(super) fn encode(answer: &StoredResponse) -> Vec<u8> {
    let text = serde_json::to_string(answer);
    seal::seal(&text.expect("its fields are text and whole numbers"))
}

pub(super) fn decode(bytes: &[u8]) -> Result<StoredResponse, DecodeError> {
    serde_json::from_slice(seal::open(bytes)?).map_err(DecodeError::Json)
}
