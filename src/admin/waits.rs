//! The places of requests that wait for the end of work: they are few, so that others find room.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::error::ApiError;

/// Number of requests that may wait at a time.
const WAITING: usize = 32;

/// The places of requests that wait.
#[derive(Clone)]
pub(super) struct Waits(Arc<Semaphore>);

impl Default for Waits {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WAITING)))
    }
}

impl Waits {
    /// Runs a wait, if there is a place for it.
    pub(super) async fn run(&self, wait: impl Future<Output = ()>) -> Result<(), ApiError> {
        let Ok(_place) = self.0.try_acquire() else {
            return Err(ApiError::overloaded("too many requests wait"));
        };
        wait.await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_wait_too_many_is_refused_and_an_ended_one_leaves_room() {
        let waits = Waits::default();
        let held = waits.0.acquire_many(31).await.unwrap();
        assert!(waits.run(async {}).await.is_ok());
        assert!(waits.run(async {}).await.is_ok());
        let last = waits.0.acquire().await.unwrap();
        let refused = waits.run(async {}).await.unwrap_err();
        assert_eq!(refused.status().as_u16(), 503);
        drop((held, last));
    }
}
