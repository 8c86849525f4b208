//! State that the handlers share.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::Semaphore;

use super::{access::Access, refetch::Refetches, seats::Seats};
use crate::{
    config::Ofrep,
    net::{RateLimit, Rates},
    seal::KeyRing,
    table::LiveTable,
};

/// Threads for evaluations of many flags.
const EVALUATING: usize = 2;

/// State of the handlers.
#[derive(Clone)]
pub struct OfrepState(Arc<Shared>);

struct Shared {
    table: Arc<LiveTable>,
    access: Access,
    seal: Arc<KeyRing>,
    seats: Seats,
    refetches: Refetches,
    evaluating: Arc<Semaphore>,
    rates: Option<Mutex<RateLimit>>,
    start: Instant,
}

impl OfrepState {
    /// The state for a live table, with the tokens and the keys of event streams.
    pub fn new(
        table: Arc<LiveTable>,
        access: Access,
        seal: Arc<KeyRing>,
        settings: &Ofrep,
    ) -> Self {
        let limit = |per_client| {
            let all = u32::MAX;
            Mutex::new(RateLimit::new(Rates { per_client, all }))
        };
        Self(Arc::new(Shared {
            table,
            access,
            seal,
            seats: Seats::default(),
            refetches: Refetches::default(),
            evaluating: Arc::new(Semaphore::new(EVALUATING)),
            rates: settings.rate.map(limit),
            start: Instant::now(),
        }))
    }

    pub(super) fn table(&self) -> &Arc<LiveTable> {
        &self.0.table
    }

    pub(super) fn access(&self) -> &Access {
        &self.0.access
    }

    pub(super) fn seal(&self) -> &KeyRing {
        &self.0.seal
    }

    pub(super) fn seats(&self) -> &Seats {
        &self.0.seats
    }

    pub(super) fn refetches(&self) -> &Refetches {
        &self.0.refetches
    }

    pub(super) fn evaluating(&self) -> &Arc<Semaphore> {
        &self.0.evaluating
    }

    /// Takes an evaluation of a client; false if it is one too many.
    pub(super) fn takes(&self, client: IpAddr) -> bool {
        let Some(rates) = &self.0.rates else {
            return true;
        };
        let now = u64::try_from(self.0.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        // Safe to ignore poisoning: each field is right by itself.
        rates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(client, now)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
