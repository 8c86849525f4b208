//! A new connection to the endpoint that was selected.

use std::rc::Rc;

use crate::model::{Protocol, Scheme};
use crate::net::{Deadline, Stream, dial, dial_tls};

use super::error::UpstreamError;
use super::h2 as http2;
use super::pool::{Connection, Counted, PoolKey};
use super::select::Selection;
use super::worker::Worker;

/// A way to an endpoint that can take a request.
pub(super) enum Connected {
    /// A connection of its own.
    Http1(Connection),
    /// A stream's place on a connection that is shared.
    Http2(http2::Place),
}

/// Connects before `deadline` passes. Where connections are shared, one with a number below `newer_than` is not taken.
/// Cancellation safe: dropping it closes the socket.
pub(super) async fn connect(
    worker: &Rc<Worker>,
    selection: &Selection,
    newer_than: Option<u64>,
    deadline: &Deadline,
) -> Result<Connected, UpstreamError> {
    let (endpoint, spec) = (selection.in_flight.endpoint(), selection.release().spec());
    let key = PoolKey::new(endpoint, spec);
    match spec.protocol {
        Protocol::Http1 => {
            let (stream, counted) = open(worker, selection, deadline).await?;
            Ok(Connected::Http1(Connection::new(stream, counted, key)))
        }
        Protocol::Http2 => {
            let open = async || open(worker, selection, deadline).await;
            http2::place(worker, (key, newer_than), open, deadline)
                .await
                .map(Connected::Http2)
        }
    }
}

/// Opens a connection to the endpoint, counted on it.
async fn open(
    worker: &Worker,
    selection: &Selection,
    deadline: &Deadline,
) -> Result<(Stream, Counted), UpstreamError> {
    let (endpoint, spec) = (selection.in_flight.endpoint(), selection.release().spec());
    let limit = spec.limits.connections_per_endpoint.unwrap_or(u32::MAX);
    let counted = Counted::new(endpoint, limit).ok_or(UpstreamError::ConnectionLimit)?;
    let address = endpoint.address();
    let dialed = match endpoint.url().scheme() {
        Scheme::Http => dial(address, deadline).await,
        Scheme::Https => {
            let tls = worker.shared.tls.load(spec.tls.as_ref());
            let tls = tls.map_err(UpstreamError::Tls)?;
            let is_http2 = spec.protocol == Protocol::Http2;
            dial_tls(address, &tls, endpoint.url().host(), is_http2, deadline).await
        }
    };
    match dialed {
        Ok(stream) => {
            endpoint.connected();
            Ok((stream, counted))
        }
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            Err(UpstreamError::ConnectTimeout)
        }
        Err(error) => Err(UpstreamError::Connect(error)),
    }
}
