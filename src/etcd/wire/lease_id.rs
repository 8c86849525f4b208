//! Id of a lease.

use std::fmt;

/// Id of a lease, which its owner chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(u64);

impl LeaseId {
    /// The id of a random number: positive as etcd wants it.
    pub const fn new(random: u64) -> Self {
        let id = random & (u64::MAX >> 1);
        Self(if id == 0 { 1 } else { id })
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The id of a number that etcd sends, which has 0 for none.
    pub(super) const fn of_wire(number: u64) -> Option<Self> {
        if number == 0 {
            None
        } else {
            Some(Self(number))
        }
    }
}

impl fmt::Display for LeaseId {
    /// Hexadecimal, as `etcdctl` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}
