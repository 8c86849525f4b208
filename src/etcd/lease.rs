//! Leases: keys that end with one end when it is not kept alive.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    client::EtcdClient,
    error::EtcdError,
    member::Call,
    wire::{LeaseAnswer, LeaseId, StreamReader, read},
};

/// Longest message of a keep-alive.
const LONGEST_MESSAGE: usize = 64 << 10;

impl EtcdClient {
    /// Grants a lease under an id of the caller, and returns the time that etcd gives it. The same id again is harmless.
    ///
    /// # Errors
    /// If etcd cannot be reached or refuses.
    pub async fn grant_lease(&self, id: LeaseId, ttl: Duration) -> Result<Duration, EtcdError> {
        let seconds = ttl.as_secs().max(1);
        let body = json!({"ID": id.get().to_string(), "TTL": seconds.to_string()});
        match self.lease_call("/v3/lease/grant", &body).await {
            Ok(answer) => seconds_of(read(&answer)?),
            // The first attempt was done, and its answer was lost.
            Err(EtcdError::Refused { message, .. }) if message.contains("already exists") => {
                self.keep_alive(id).await
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps a lease alive, and returns the time that it has again.
    ///
    /// # Errors
    /// [`EtcdError::LeaseNotFound`] if it is gone; another one if etcd cannot be reached or refuses.
    pub async fn keep_alive(&self, id: LeaseId) -> Result<Duration, EtcdError> {
        let body = json!({"ID": id.get().to_string()});
        let answer = self.lease_call("/v3/lease/keepalive", &body).await?;
        let mut messages = StreamReader::up_to(LONGEST_MESSAGE);
        messages.add(&answer)?;
        messages.end();
        let kept: Option<LeaseAnswer> = messages.take()?;
        let kept = kept.ok_or_else(|| EtcdError::Malformed("a keep-alive is empty".to_owned()))?;
        seconds_of(kept)
    }

    /// Ends a lease, and all keys with it. One that is gone is ended.
    ///
    /// # Errors
    /// If etcd cannot be reached or refuses.
    pub async fn revoke_lease(&self, id: LeaseId) -> Result<(), EtcdError> {
        let body = json!({"ID": id.get().to_string()});
        match self.lease_call("/v3/lease/revoke", &body).await {
            Ok(_) | Err(EtcdError::LeaseNotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn lease_call(&self, path: &'static str, body: &Value) -> Result<Vec<u8>, EtcdError> {
        let call = Call {
            path,
            body: body.to_string().into(),
            repeatable: true,
            writes: false,
            needs_leader: true,
        };
        self.call(&call).await
    }
}

/// The time of a lease; etcd says 0 of one that it does not know.
fn seconds_of(answer: LeaseAnswer) -> Result<Duration, EtcdError> {
    match u64::try_from(answer.seconds) {
        Ok(0) | Err(_) => Err(EtcdError::LeaseNotFound),
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
    }
}
