//! Stream of events (server-sent events).
//!
//! Beside the limits of ordinary requests: a stream lasts for hours, and would take the place of reads. The hub limits the
//! clients, each holds one buffer, and one that reads nothing is disconnected by the write timeout of its connection.

use std::{convert::Infallible, fmt::Write as _, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use serde::Deserialize;
use tokio::{sync::watch, time::timeout};

use super::{error::ApiError, params::QueryParams, state::AdminState};
use crate::{
    api::{Event, EventBody, KEPT_EVENTS},
    control::{EventClient, EventStart, NextEvents},
};

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

/// A stream for one client.
struct Streaming {
    client: EventClient,
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
    stopping: Option<axum::Extension<Stopping>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let start = start(&params, &headers)?;
    let client = admin.controller.events().client(&start);
    let client = client.ok_or_else(|| ApiError::overloaded("too many clients read events"))?;
    let streaming = Streaming {
        client,
        stopping: stopping.map(|axum::Extension(stopping)| stopping),
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
        match next {
            Err(_) => Some((Bytes::from_static(b": nothing new\n\n"), Some(self))),
            Ok(NextEvents::Events(events)) => {
                let text: String = events.iter().map(|event| frame(event)).collect();
                Some((text.into(), Some(self)))
            }
            Ok(NextEvents::Gap(gap)) => {
                let is_slow = matches!(gap.body, EventBody::Gap { lost: Some(_) });
                Some((frame(&gap).into(), (!is_slow).then_some(self)))
            }
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
