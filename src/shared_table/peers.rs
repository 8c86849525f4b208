//! The other nodes of a fleet, as one reaches them without the store.

use super::answer::Answer;

/// The other nodes. A call ends by itself within a limit.
pub trait FleetPeers: std::fmt::Debug + Send + Sync {
    /// Their URLs, in the order of the configuration.
    fn urls(&self) -> &[String];
    /// Offers rollbacks to one of them, by its place. Its answer.
    fn offer(&self, peer: usize, offer: Vec<u8>) -> Answer<'_, Vec<u8>>;
}
