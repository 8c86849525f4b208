//! The compiled guards of a route: what a request has to pass before a release is chosen for it, and what is noted of it then
//! for its answer.

use std::{sync::Arc, time::Duration};

use super::{AccessGuard, Compression, Cors, Pause, affinity::Affinity};
use crate::{
    fleet::{Fleet, RateBuckets, RateLimitOf},
    model::{RequestView, RouteSpec},
};

/// Guards of a route, of which it has at least one.
#[derive(Debug)]
pub struct Guards {
    rate: Option<RateLimit>,
    /// Longest body of a request, if it has a limit.
    max_body: Option<u64>,
    access: Option<Arc<AccessGuard>>,
    cors: Option<Arc<Cors>>,
    compression: Option<Arc<Compression>>,
    pause: Option<Arc<Pause>>,
}

/// A rate limit: the source of a request's key, and the bucket of each key.
#[derive(Debug)]
struct RateLimit {
    key: Affinity,
    buckets: Arc<RateBuckets>,
}

impl Guards {
    /// The guards of a route, if it has any.
    pub(super) fn new(spec: &RouteSpec, fleet: &Fleet) -> Option<Box<Self>> {
        let rate = spec.rate_limit.as_ref().map(|limit| RateLimit {
            key: Affinity::new(&limit.key),
            buckets: fleet.rate_buckets(&spec.name, RateLimitOf::Requests, limit),
        });
        let guards = Self {
            rate,
            max_body: spec.max_body.map(|size| size.0 as u64),
            access: (spec.guard.as_ref())
                .map(|guard| Arc::new(AccessGuard::new(&spec.name, guard, fleet))),
            cors: spec.cors.as_ref().map(|cors| Arc::new(Cors::new(cors))),
            compression: (spec.compress.as_ref())
                .map(|compress| Arc::new(Compression::new(&spec.name, compress))),
            pause: (spec.pause.as_ref())
                .map(|pause| Arc::new(Pause::new(&spec.name, pause, fleet))),
        };
        guards.is_any().then(|| Box::new(guards))
    }

    fn is_any(&self) -> bool {
        self.rate.is_some()
            || self.max_body.is_some()
            || self.access.is_some()
            || self.cors.is_some()
            || self.compression.is_some()
            || self.pause.is_some()
    }

    /// Takes a token of the request's key. Requests without a key have one bucket together.
    ///
    /// # Errors
    /// The time until there is a token.
    pub fn take(&self, request: &impl RequestView, now: Duration) -> Result<(), Duration> {
        let Some(limit) = &self.rate else {
            return Ok(());
        };
        let key = limit.key.key(request).unwrap_or_default();
        limit.buckets.take(key, now)
    }

    /// Longest body of a request.
    pub fn max_body(&self) -> Option<u64> {
        self.max_body
    }

    /// The credentials that requests need, if they need any.
    pub fn access(&self) -> Option<&Arc<AccessGuard>> {
        self.access.as_ref()
    }

    /// The origins whose pages may read answers, if the proxy decides on them.
    pub fn cors(&self) -> Option<&Arc<Cors>> {
        self.cors.as_ref()
    }

    /// The compression of answers, if they are compressed.
    pub fn compression(&self) -> Option<&Arc<Compression>> {
        self.compression.as_ref()
    }

    /// The pause of the route, if it is paused.
    pub fn pause(&self) -> Option<&Arc<Pause>> {
        self.pause.as_ref()
    }
}
