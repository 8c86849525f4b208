//! Content negotiation: the client must accept JSON, and problem documents for errors.

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::error::ApiError;

/// Rejects clients that do not accept JSON; no `Accept` accepts anything. Probes, scrapes and readers of events get text in
/// any case.
pub(super) async fn negotiate(request: Request, next: Next) -> Response {
    let text = matches!(
        request.uri().path(),
        "/metrics" | "/livez" | "/readyz" | "/v1/events"
    );
    if text || takes_json(request.headers()) {
        return next.run(request).await;
    }
    ApiError::new(
        StatusCode::NOT_ACCEPTABLE,
        "not-acceptable",
        "the client does not accept JSON",
    )
    .hint("leave `accept` out, or send `accept: application/json`")
    .into_response()
}

fn takes_json(headers: &HeaderMap) -> bool {
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .flat_map(|field| field.to_str().unwrap_or("*/*").split(','))
        .peekable();
    ranges.peek().is_none() || ranges.any(|range| is_json(range.trim()))
}

fn is_json(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let quality = parts
        .find_map(|part| part.strip_prefix("q="))
        .unwrap_or("1");
    let wanted = quality.parse::<f32>().is_ok_and(|quality| quality > 0.0);
    let matches = [
        "",
        "*/*",
        "application/*",
        "application/json",
        "application/problem+json",
    ];
    wanted && matches.contains(&essence.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_taken_by_name_by_kind_or_as_anything() {
        let takes = |value: &str| {
            takes_json(&HeaderMap::from_iter([(
                header::ACCEPT,
                value.parse().unwrap(),
            )]))
        };
        assert!(takes_json(&HeaderMap::new()));
        for yes in [
            "*/*",
            "application/json",
            "text/html, application/*;q=0.2",
            "Application/JSON; charset=utf-8",
            "text/html,*/*;q=0.8",
        ] {
            assert!(takes(yes), "{yes}");
        }
        for no in [
            "text/html",
            "application/xml",
            "application/json;q=0",
            "*/*;q=0.0",
        ] {
            assert!(!takes(no), "{no}");
        }
    }
}
