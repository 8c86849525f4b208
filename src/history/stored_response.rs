//! Stored response of a request with an idempotency key, for replays.

use serde::{Deserialize, Serialize};

use super::seal::{self, DecodeError};
use crate::model::{Digest, Revision};

/// A stored response and the digest of its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredResponse {
    /// Digest of the request.
    pub request: Digest,
    /// Revision in the `ETag` of the response.
    pub revision: Revision,
    /// Time of the response, in milliseconds since 1970.
    pub given_at_ms: u64,
    /// Body of the response.
    pub body: String,
}

/// Write or removal (`None`) of a response by its key.
pub type AnswerRow = (String, Option<StoredResponse>);

pub(super) fn encode(answer: &StoredResponse) -> Vec<u8> {
    let text = serde_json::to_string(answer);
    seal::seal(&text.expect("its fields are text and whole numbers"))
}

pub(super) fn decode(bytes: &[u8]) -> Result<StoredResponse, DecodeError> {
    serde_json::from_slice(seal::open(bytes)?).map_err(DecodeError::Json)
}
