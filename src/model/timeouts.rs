//! Timeouts of a route.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::HumanDuration;

/// Timeouts of a route; if one is absent, the default in `[timeouts]` applies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeoutsSpec {
    /// Timeout for connecting to an endpoint, including TLS; 3 s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<HumanDuration>,
    /// Idle timeout before the first byte and between bytes of a response; 600 s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<HumanDuration>,
    /// Idle timeout of a WebSocket, both directions; 3600 s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket_idle: Option<HumanDuration>,
    /// Timeout for the whole request, first byte to last; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<HumanDuration>,
    /// Timeout from the first byte of the request to the first one of its response, all attempts together; none by
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<HumanDuration>,
    /// Timeout of one attempt, until its response begins; an idempotent request is then sent again. None by default.
    #[serde(default, rename = "try", skip_serializing_if = "Option::is_none")]
    pub per_try: Option<HumanDuration>,
}

impl TimeoutsSpec {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
