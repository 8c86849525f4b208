//! A new connection to the endpoint that was selected.

use crate::model::{Protocol, Scheme};
use crate::net::{Deadline, dial, dial_tls};

use super::error::UpstreamError;
use super::pool::{Connection, Counted, PoolKey};
use super::select::Selection;
use super::worker::Worker;

/// Connects before `deadline` passes. Cancellation safe: dropping it closes the socket.
pub(super) async fn connect(
    worker: &Worker,
    selection: &Selection,
    deadline: &Deadline,
) -> Result<Connection, UpstreamError> {
    let (endpoint, spec) = (selection.in_flight.endpoint(), selection.release().spec());
    let limit = spec.limits.connections_per_endpoint.unwrap_or(u32::MAX);
    let counted = Counted::new(endpoint, limit).ok_or(UpstreamError::ConnectionLimit)?;
    let dialed = match endpoint.url().scheme() {
        Scheme::Http => dial(endpoint.address(), deadline).await,
        Scheme::Https => {
            let tls = worker
                .shared
                .tls
                .load(spec.tls.as_ref())
                .map_err(UpstreamError::Tls)?;
            let http2 = spec.protocol == Protocol::Http2;
            dial_tls(
                endpoint.address(),
                &tls,
                endpoint.url().host(),
                http2,
                deadline,
            )
            .await
        }
    };
    match dialed {
        Ok(stream) => {
            endpoint.connected();
            Ok(Connection::new(
                stream,
                counted,
                PoolKey::new(endpoint, spec),
            ))
        }
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            Err(UpstreamError::ConnectTimeout)
        }
        Err(error) => Err(UpstreamError::Connect(error)),
    }
}
