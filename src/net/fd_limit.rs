//! File descriptor limit of the process, which bounds the number of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything else: the admin API, health checks, the history, logs and listeners.
const RESERVED: u64 = 256;

/// Limit on file descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorLimit {
    /// Number of file descriptors that may be open at once.
    pub descriptors: u64,
}

/// Raises the soft limit to the hard one; returns the resulting limit.
#[must_use]
pub fn raise_descriptor_limit() -> DescriptorLimit {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    // If that fails the old limit stays, and the connection limit follows from it.
    let _ = setrlimit(Resource::Nofile, raised);
    let after = getrlimit(Resource::Nofile);
    DescriptorLimit {
        descriptors: after.current.unwrap_or(u64::MAX),
    }
}

impl DescriptorLimit {
    /// Number of connections to endpoints that fit besides so many client connections.
    #[must_use]
    pub fn upstream_connections(self, clients: usize) -> usize {
        let clients = u64::try_from(clients).unwrap_or(u64::MAX);
        let left = self
            .descriptors
            .saturating_sub(RESERVED)
            .saturating_sub(clients);
        usize::try_from(left).unwrap_or(usize::MAX).max(1)
    }

    /// Number of client connections that fit: each may need an upstream one, besides the reserved descriptors.
    #[must_use]
    pub fn connections(self) -> usize {
        let fit = self.descriptors.saturating_sub(RESERVED) / 2;
        usize::try_from(fit).unwrap_or(usize::MAX).clamp(1, 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_follow_from_descriptors() {
        let connections = |descriptors| DescriptorLimit { descriptors }.connections();
        assert_eq!(connections(1024), 384);
        assert_eq!(connections(1_000_000), 10_000);
        assert_eq!(connections(10), 1);
        let upstream =
            |descriptors, clients| DescriptorLimit { descriptors }.upstream_connections(clients);
        assert_eq!(upstream(1024, 384), 384);
        assert_eq!(upstream(1024, 100), 668);
        assert_eq!(upstream(100, 100), 1);
    }

    #[test]
    fn the_soft_limit_ends_at_the_hard_one() {
        let limit = raise_descriptor_limit();
        assert_eq!(
            getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX),
            limit.descriptors
        );
    }
}
