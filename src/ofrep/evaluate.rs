//! Handlers of evaluations: one flag, or all of them for one context.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::{
        ConnectInfo, Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    capability, context,
    error::{Mistake, bare, json},
    etag,
    refetch::RefetchQuery,
    state::{OfrepState, now},
};
use crate::table::{Evaluation, FlagContext, FlagError, RoutingTable};

/// Number of flags from which a bulk evaluation leaves the thread that takes requests.
const MANY: usize = 200;

/// An evaluation, as it is sent.
#[derive(Serialize)]
struct Success<'a> {
    key: &'a str,
    value: &'a Value,
    reason: &'static str,
    variant: &'a str,
    metadata: Map<String, Value>,
}

/// One flag.
pub(super) async fn one(
    State(state): State<OfrepState>,
    client: Option<Extension<ConnectInfo<IpAddr>>>,
    key: Result<Path<String>, PathRejection>,
    body: Body,
) -> Response {
    if client.is_some_and(|Extension(ConnectInfo(client))| !state.takes(client)) {
        let mut response = bare(StatusCode::TOO_MANY_REQUESTS);
        let fields = response.headers_mut();
        fields.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    }
    let Ok(Path(key)) = key else {
        return Mistake::general("the key in the path is not text").response("");
    };
    let context = match context::read(body).await {
        Ok(context) => context,
        Err(mistake) => return mistake.response(&key),
    };
    let live = state.table().load();
    match live.compiled().flags().evaluate(&key, &context) {
        Ok(found) => json(StatusCode::OK, &success(&key, &found)),
        Err(error) => mistake(&error).response(&key),
    }
}

/// All flags. An error has no body: a provider keeps the flags of the user before when it can read one.
pub(super) async fn all(
    State(state): State<OfrepState>,
    query: Result<Query<RefetchQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Query(query) = query.unwrap_or_default();
    // Before the body is read, so that one that waits holds none.
    state.refetches().caught_up(&query, state.table()).await;
    let Ok(context) = context::read(body).await else {
        return bare(StatusCode::BAD_REQUEST);
    };
    let live = state.table().load();
    let flags = live.compiled().spec().flags_digest();
    let tag = etag::of(flags, &context);
    let named = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut named = named.filter_map(|field| field.to_str().ok());
    if !query.is_of_others(flags) && named.any(|list| etag::is_named(&tag, list)) {
        return tagged(bare(StatusCode::NOT_MODIFIED), &tag);
    }
    let streams = streams(&state);
    let body = if live.compiled().flags().len() < MANY {
        bulk(&live, &context, &streams)
    } else {
        let permit = Arc::clone(state.evaluating()).acquire_owned().await;
        let evaluated = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            bulk(&live, &context, &streams)
        });
        match evaluated.await {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, "an evaluation of flags failed");
                return bare(StatusCode::INTERNAL_SERVER_ERROR);
            }
        }
    };
    let fields = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    tagged((StatusCode::OK, fields, body).into_response(), &tag)
}

fn tagged(mut response: Response, tag: &str) -> Response {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The address of the event stream, with a capability where the listener asks for tokens.
fn streams(state: &OfrepState) -> Value {
    let path = "/ofrep/v1/events";
    let uri = if state.access().asks() {
        let capability = capability::issue(state.seal(), now());
        capability.map(|text| format!("{path}?capability={text}"))
    } else {
        Some(path.to_owned())
    };
    let stream = |uri| serde_json::json!({ "type": "sse", "endpoint": { "requestUri": uri }, "inactivityDelaySec": 120 });
    uri.map(stream).into_iter().collect()
}

/// The body of a bulk evaluation.
fn bulk(live: &RoutingTable, context: &FlagContext, streams: &Value) -> Vec<u8> {
    let flags = live.compiled().flags();
    let mut body = Vec::with_capacity(64 + flags.len() * 96);
    body.extend_from_slice(b"{\"flags\":[");
    for (place, (name, _)) in flags.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        let key = name.as_str();
        let written = match flags.evaluate(key, context) {
            Ok(found) => serde_json::to_writer(&mut body, &success(key, &found)),
            Err(error) => serde_json::to_writer(&mut body, &mistake(&error).of(key)),
        };
        written.expect("types of the protocol have string keys, and a buffer takes all");
    }
    body.extend_from_slice(b"],\"metadata\":{},\"eventStreams\":");
    body.extend_from_slice(streams.to_string().as_bytes());
    body.push(b'}');
    body
}

fn success<'a>(key: &'a str, found: &Evaluation<'a>) -> Success<'a> {
    Success {
        key,
        value: found.variant.value(),
        reason: found.reason.as_str(),
        variant: found.variant.name().as_str(),
        metadata: Map::new(),
    }
}

fn mistake(error: &FlagError) -> Mistake {
    let details = error.to_string();
    match error {
        FlagError::NotFound(_) => Mistake::no_flag(details),
        FlagError::NoKey { .. } => Mistake::no_key(details),
    }
}
