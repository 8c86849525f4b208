//! A copy on its way from a worker to the thread that sends it.

use std::sync::Arc;

use super::json_body::JsonBody;
use super::request_copy::RequestCopy;
use super::room::RoomShare;
use crate::stats::{MirrorTurn, MirroredAnswer};
use crate::table::Mirror;

/// A copy that is to be sent.
pub(super) struct Parcel {
    pub(super) mirror: Arc<Mirror>,
    pub(super) copy: RequestCopy,
    pub(super) original: MirroredAnswer,
    /// The body of that answer, if answers are compared as JSON.
    pub(super) json: Option<JsonBody>,
    /// Its place among those that wait or are under way.
    pub(super) turn: MirrorTurn,
    /// Its memory.
    pub(super) share: RoomShare,
}
