//! Stream of events (server-sent events).
//!
//! Beside the limits of ordinary requests: a stream lasts for hours, and would take the place of reads. Each listener has
//! seats of its own, so that readers without a token take none of the operators'. A client holds one buffer, and one that reads nothing is disconnected by the write timeout of its connection.

use std::{
    convert::Infallible,
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use serde::Deserialize;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use super::{auth::Authenticator, error::ApiError, params::QueryParams, state::AdminState};
use crate::{
    api::{Event, EventBody, KEPT_EVENTS},
    control::{EventClient, EventStart, NextEvents, PublishedEvent},
};

/// Most streams of a listener at the same time.
const MOST_CLIENTS: usize = 128;
/// Interval of comments while nothing happens, so that both ends notice a connection that is gone.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Field of the id behind which a client goes on.
const LAST_EVENT_ID: &str = "last-event-id";
/// Longest id that is read.
const LONGEST_ID: usize = 64;

/// Begin of a stream.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParams {
    /// Begins with at most so many of the last events; with none by default.
    #[param(required = false, nullable = false, minimum = 0, maximum = 1024)]
    last: Option<usize>,
}

/// The end of the listener, as its requests see it.
#[derive(Debug, Clone)]
pub(super) struct Stopping(pub(super) watch::Receiver<bool>);

/// Seats of a listener: the streams that are open at the same time.
#[derive(Debug, Clone)]
pub(super) struct Seats(Arc<Semaphore>);

/// The token or cookie of a stream: it ends with the permission.
struct Permission {
    authenticator: Arc<Authenticator>,
    headers: HeaderMap,
}

/// A stream for one client.
struct Streaming {
    client: EventClient,
    _seat: OwnedSemaphorePermit,
    permission: Option<Permission>,
    stopping: Option<Stopping>,
    has_begun: bool,
}

/// Events, as a stream of server-sent events: `id`, `event` (the type) and `data` (the event as JSON).
///
/// A client that comes back with `Last-Event-ID` gets what it has missed, from the last 1,024 events. Where some are missing
/// there is an event `gap`; a client that was too slow is disconnected after it, and goes on when it comes back. While
/// nothing happens there is a comment every 10 seconds.
#[utoipa::path(get, path = "/v1/events", tag = "observe",
    params(EventParams,
        ("Last-Event-ID" = Option<String>, Header, description = "the id of the last event that was received", max_length = 64)),
    responses((status = 200, description = "events, each with this as `data`", body = Event, content_type = "text/event-stream")))]
pub(super) async fn stream_events(
    State(admin): State<AdminState>,
    QueryParams(params): QueryParams<EventParams>,
    Extension(Seats(seats)): Extension<Seats>,
    authenticator: Option<Extension<Arc<Authenticator>>>,
    stopping: Option<Extension<Stopping>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let start = start(&params, &headers)?;
    let seat = seats.try_acquire_owned();
    let seat = seat.map_err(|_| ApiError::overloaded("too many clients read events"))?;
    let permission = authenticator.map(|Extension(authenticator)| Permission {
        authenticator,
        headers,
    });
    let streaming = Streaming {
        client: admin.controller.events().client(&start),
        _seat: seat,
        permission,
        stopping: stopping.map(|Extension(stopping)| stopping),
        has_begun: false,
    };
    let frames = stream::unfold(Some(streaming), |streaming: Option<Streaming>| async move {
        let (frame, rest) = streaming?.next().await?;
        Some((Ok::<_, Infallible>(frame), rest))
    });
    let fields = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((fields, Body::from_stream(frames)).into_response())
}

/// The place at which a client begins: behind its last event, or as the query says.
fn start(params: &EventParams, headers: &HeaderMap) -> Result<EventStart, ApiError> {
    if params.last.is_some_and(|last| last > KEPT_EVENTS) {
        let error = ApiError::malformed("`last` is too large");
        return Err(error.hint(format!("the last {KEPT_EVENTS} events are kept")));
    }
    let id = headers.get(LAST_EVENT_ID).map(|id| id.to_str());
    match (id, params.last) {
        // What cannot be an id of this process is one of another.
        (Some(id), _) => {
            let id = id.unwrap_or_default().chars().take(LONGEST_ID).collect();
            Ok(EventStart::After(id))
        }
        (None, Some(last)) => Ok(EventStart::Last(last)),
        (None, None) => Ok(EventStart::Now),
    }
}

impl Seats {
    /// Free seats for a listener.
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST_CLIENTS)))
    }
}

impl Permission {
    /// True as long as the token is known, or the session has not ended.
    fn holds(&self) -> bool {
        let found = self.authenticator.caller(&self.headers, Instant::now());
        found.is_ok()
    }
}

impl Streaming {
    /// The next bytes, and the rest of the stream if it goes on.
    async fn next(mut self) -> Option<(Bytes, Option<Self>)> {
        if !std::mem::replace(&mut self.has_begun, true) {
            // The head is sent with the first bytes; a client should see at once that it is connected.
            return Some((Bytes::from_static(b": connected\n\n"), Some(self)));
        }
        let next = timeout(HEARTBEAT, self.client.next());
        let next = match &mut self.stopping {
            Some(Stopping(stopped)) => tokio::select! {
                next = next => next,
                _ = stopped.wait_for(|stopped| *stopped) => return None,
            },
            None => next.await,
        };
        if !self.permission.as_ref().is_none_or(Permission::holds) {
            return None;
        }
        match next {
            Err(_) => Some((Bytes::from_static(b": nothing new\n\n"), Some(self))),
            Ok(NextEvents::Events(events)) => Some((frames(&events), Some(self))),
            Ok(NextEvents::Gap(gap)) => {
                let is_slow = matches!(gap.body, EventBody::Gap { lost: Some(_) });
                Some((frame(&gap).into(), (!is_slow).then_some(self)))
            }
        }
    }
}

/// The text of these events; that of a single one is shared by all clients.
fn frames(events: &[Arc<PublishedEvent>]) -> Bytes {
    match events {
        [one] => one.text(frame).clone(),
        several => {
            let texts: Vec<&[u8]> = several.iter().map(|event| &event.text(frame)[..]).collect();
            texts.concat().into()
        }
    }
}

fn frame(event: &Event) -> String {
    let data = serde_json::to_string(event).expect("types of the API have string keys");
    let mut text = String::new();
    let _ = write!(
        text,
        "id: {}\nevent: {}\ndata: {data}\n\n",
        event.id,
        event.body.kind()
    );
    text
}
