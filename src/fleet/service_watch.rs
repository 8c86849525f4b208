//! State of the watch of one Service of a cluster, whose pods are endpoints.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// Watch of a Service.
#[derive(Debug)]
pub struct ServiceWatch {
    service: Box<str>,
    state: Mutex<ServiceWatchState>,
}

/// State of a watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceWatchState {
    /// Endpoints that take new requests, of the last answer; `None` if there was none yet, and DNS does.
    pub endpoints: Option<usize>,
    /// Number of failures since the start.
    pub failures: u64,
    /// The failure that goes on; `None` while the endpoints are as the API server says.
    pub failing: Option<WatchFailure>,
}

/// Failure of a watch that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchFailure {
    /// Time of the first one in a row: the endpoints are as of then.
    pub since: SystemTime,
    /// The last error.
    pub error: String,
}

impl ServiceWatch {
    /// A watch that has not begun, of a Service in the form `namespace/name`.
    pub fn new(service: String) -> Self {
        Self {
            service: service.into(),
            state: Mutex::default(),
        }
    }

    /// The Service: `namespace/name`.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The state now.
    pub fn state(&self) -> ServiceWatchState {
        self.lock().clone()
    }

    /// Sets the number of endpoints.
    pub fn set_endpoints(&self, endpoints: usize) {
        self.lock().endpoints = Some(endpoints);
    }

    /// Records that the watch is open; true if it failed before.
    pub fn succeeded(&self) -> bool {
        self.lock().failing.take().is_some()
    }

    /// Records a failure; true for the first one in a row, and for one with another error.
    pub fn failed(&self, now: SystemTime, error: &str) -> bool {
        let mut state = self.lock();
        state.failures += 1;
        let before = state.failing.take();
        let is_new = before.as_ref().is_none_or(|before| before.error != error);
        state.failing = Some(WatchFailure {
            since: before.map_or(now, |before| before.since),
            error: error.to_owned(),
        });
        is_new
    }

    // Safe to ignore poisoning: the state is valid between any two statements.
    fn lock(&self) -> MutexGuard<'_, ServiceWatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_failure_is_as_old_as_the_first_one_in_a_row() {
        let watch = ServiceWatch::new("agents/chat".into());
        let begin = SystemTime::UNIX_EPOCH;
        let later = begin + Duration::from_secs(9);
        assert!(!watch.succeeded());
        assert!(watch.failed(begin, "away"));
        assert!(!watch.failed(later, "away"), "told once");
        assert!(watch.failed(later, "403"));
        let state = watch.state();
        let failing = state.failing.unwrap();
        assert_eq!((failing.since, &*failing.error), (begin, "403"));
        assert_eq!((state.failures, state.endpoints), (3, None));
        assert!(watch.succeeded());
        assert_eq!(watch.state().failing, None);
        assert!(watch.failed(later, "403"));
        assert_eq!(watch.state().failing.unwrap().since, later);
    }
}
