//! New connections to the selected endpoint.

use std::rc::Rc;

use crate::model::{Protocol, Scheme};
use crate::net::{Deadline, Stream, dial, dial_tls};

use super::admission::{self, Admission};
use super::error::UpstreamError;
use super::h2 as http2;
use super::pool::{Connection, ConnectionCount, PoolKey};
use super::select::Selected;
use super::worker::Worker;

/// A connection or stream to an endpoint that can carry a request.
pub(super) enum Connected {
    /// A connection for this request alone.
    Http1(Connection),
    /// A stream on a shared connection.
    Http2(http2::PooledStream),
}

/// Connects before `deadline` passes. A shared connection whose number is below `newer_than` is not used.
/// If the endpoint is at its connection limit, it waits if `may_wait`, and returns `None` when the table changed
/// meanwhile. Cancellation safe: dropping it closes the socket.
pub(super) async fn connect(
    worker: &Rc<Worker>,
    selected: &Selected,
    newer_than: Option<u64>,
    deadline: &Deadline,
    may_wait: bool,
) -> Result<Option<Connected>, UpstreamError> {
    let (endpoint, spec) = (selected.in_flight.endpoint(), selected.release().spec());
    let key = PoolKey::new(endpoint, spec);
    let admitted = |waited_for: &mut Option<ConnectionCount>| {
        let waited_for = waited_for.take();
        waited_for.or_else(|| admission::at_once(worker, selected))
    };
    let mut counted = None;
    loop {
        let connected = match spec.protocol {
            Protocol::Http1 => match admitted(&mut counted) {
                Some(counted) => {
                    open(worker, selected, counted, deadline)
                        .await
                        .map(|(stream, counted)| {
                            Connected::Http1(Connection::new(stream, counted, key))
                        })
                }
                None => Err(UpstreamError::ConnectionLimit),
            },
            Protocol::Http2 => {
                let dial = async || {
                    let counted = admitted(&mut counted).ok_or(UpstreamError::ConnectionLimit)?;
                    open(worker, selected, counted, deadline).await
                };
                http2::acquire_stream(worker, (key, newer_than), dial, deadline)
                    .await
                    .map(Connected::Http2)
            }
        };
        match connected {
            Err(UpstreamError::ConnectionLimit) if may_wait => {}
            connected => return connected.map(Some),
        }
        let may_share = newer_than.is_none();
        let existing = || {
            may_share
                .then(|| existing(worker, key, spec.protocol))
                .flatten()
        };
        match admission::wait(worker, selected, existing, deadline).await? {
            Admission::New(place) => counted = Some(place),
            Admission::Existing(connected) => return Ok(Some(connected)),
            Admission::TableChanged => return Ok(None),
        }
    }
}

/// A connection that can take a request now.
fn existing(worker: &Worker, key: PoolKey, protocol: Protocol) -> Option<Connected> {
    match protocol {
        Protocol::Http1 => worker
            .pools
            .take(key, worker.now_ms())
            .map(Connected::Http1),
        Protocol::Http2 => worker.http2.take(key).map(Connected::Http2),
    }
}

/// Opens a connection that counts towards the endpoint's limit.
async fn open(
    worker: &Worker,
    selected: &Selected,
    counted: ConnectionCount,
    deadline: &Deadline,
) -> Result<(Stream, ConnectionCount), UpstreamError> {
    let (endpoint, spec) = (selected.in_flight.endpoint(), selected.release().spec());
    let address = endpoint.address();
    let dialed = match endpoint.url().scheme() {
        Scheme::Http => dial(address, deadline).await,
        Scheme::Https => {
            let tls = tokio::select! {
                tls = worker.shared.tls.load(spec.tls.as_ref()) => tls.map_err(UpstreamError::Tls)?,
                () = deadline.expired() => return Err(UpstreamError::ConnectTimeout),
            };
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
