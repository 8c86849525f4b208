//! The event stream: one `refetchEvaluation` at the start of every connection, and one after each change of a flag.
//!
//! The one at the start is for providers that do not evaluate again when a broken stream is back. Events have no name:
//! `EventSource` gives named ones to no one who did not ask for that name.

use std::{convert::Infallible, net::IpAddr, time::Duration};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{ConnectInfo, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use serde_json::json;
use tokio::{sync::watch, time::sleep};

use super::{
    capability,
    error::bare,
    etag,
    seats::Seat,
    state::{OfrepState, now},
};
use crate::{model::Revision, table::Flags};

/// Silence after which a comment is sent, so that both sides know that the other one is there.
const COMMENT: Duration = Duration::from_secs(25);

/// Time in which further changes join the first one in one event.
const JOIN: Duration = Duration::from_millis(20);

/// One open stream.
struct Stream {
    state: OfrepState,
    revisions: watch::Receiver<Revision>,
    // The flags of the last event; none before the first one.
    told: Option<Flags>,
    _seat: Seat,
}

/// Opens the stream, with a token or the capability in its address.
pub(super) async fn events(
    State(state): State<OfrepState>,
    client: Option<Extension<ConnectInfo<IpAddr>>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let shown = pairs.find(|(name, _)| *name == "capability");
    let is_shown = shown.is_some_and(|(_, text)| capability::is_valid(state.seal(), text, now()));
    if !is_shown && !state.access().allows(&headers) {
        return bare(StatusCode::UNAUTHORIZED);
    }
    let client = client.map(|Extension(ConnectInfo(client))| client);
    let Some(seat) = state.seats().take(client) else {
        let mut response = bare(StatusCode::SERVICE_UNAVAILABLE);
        let fields = response.headers_mut();
        fields.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
        return response;
    };
    let stream = Stream {
        revisions: state.table().follow(),
        state,
        told: None,
        _seat: seat,
    };
    let events = stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await;
        Some((Ok::<_, Infallible>(event), stream))
    });
    let fields = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (fields, Body::from_stream(events)).into_response()
}

impl Stream {
    /// The next event, or a comment after a time without one.
    async fn next(&mut self) -> Bytes {
        if self.told.is_none() {
            // What happens from here on is seen as a change.
            self.revisions.mark_unchanged();
            return self.event().unwrap_or_default();
        }
        loop {
            tokio::select! {
                () = sleep(COMMENT) => return Bytes::from_static(b":\n\n"),
                changed = self.revisions.changed() => {
                    if changed.is_err() {
                        // The process ends, and its connections with it.
                        std::future::pending::<()>().await;
                    }
                    sleep(JOIN).await;
                    self.revisions.mark_unchanged();
                    if let Some(event) = self.event() {
                        return event;
                    }
                }
            }
        }
    }

    /// The event for the live table, if its flags are others than those of the last event.
    fn event(&mut self) -> Option<Bytes> {
        let live = self.state.table().load();
        let flags = live.compiled().flags();
        let is_told = self
            .told
            .as_ref()
            .is_some_and(|told| told.is_shared_with(flags));
        if is_told {
            return None;
        }
        self.told = Some(flags.clone());
        let (revision, digest) = (live.revision(), live.compiled().spec().flags_digest());
        self.state.refetches().tell(digest);
        let data = json!({ "type": "refetchEvaluation", "etag": etag::of_flags(digest) });
        Some(format!("id: {revision}\ndata: {data}\n\n").into())
    }
}
