//! The answer that feedback is about, as a request names it: by a stamp, by the id of its request, or by its session.

use super::error::ApiError;
use crate::{
    api::{FeedbackRequest, LONGEST_REQUEST_ID, LONGEST_SESSION_KEY},
    config::FeedbackForm,
    control::{AnswerName, Controller},
    model::{PinSource, RouteName},
    seal::{Content, KeyRing, Label, Pin, is_sealed},
};

/// An answer, as a request names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NamedAnswer<'r> {
    /// By the id of its request.
    RequestId(&'r str),
    /// The last one of a session.
    Session(&'r RouteName, &'r str),
    /// By its stamp.
    Stamp(&'r str),
}

impl<'r> NamedAnswer<'r> {
    /// The one name in a request.
    ///
    /// # Errors
    /// None, several, or one that cannot be.
    pub(super) fn of(request: &'r FeedbackRequest) -> Result<Self, ApiError> {
        let FeedbackRequest {
            stamp,
            request_id,
            session,
            route,
            ..
        } = request;
        match (stamp, request_id, session, route) {
            (Some(stamp), None, None, None) => Ok(Self::Stamp(stamp)),
            (None, Some(id), None, None) => {
                within(id, "request_id", LONGEST_REQUEST_ID)?;
                Ok(Self::RequestId(id))
            }
            (None, None, Some(key), Some(route)) => {
                within(key, "session", LONGEST_SESSION_KEY)?;
                Ok(Self::Session(route, key))
            }
            (None, None, Some(_), None)
            | (Some(_) | None, None, None, Some(_))
            | (None, Some(_), None, Some(_)) => {
                Err(ApiError::invalid("`session` and `route` belong together")
                    .hint("a session is one of a route"))
            }
            _ => Err(ApiError::invalid(
                "exactly one of `stamp`, `request_id` and `session` is needed",
            )),
        }
    }

    /// Its form.
    pub(super) fn form(&self) -> FeedbackForm {
        match self {
            Self::RequestId(_) => FeedbackForm::RequestId,
            Self::Session(..) => FeedbackForm::Session,
            Self::Stamp(_) => FeedbackForm::Stamp,
        }
    }
}

/// The name by which workers look for the last answer of a session. A sealed session id is that of the endpoint inside.
pub(super) fn session_name(
    controller: &Controller,
    ring: &KeyRing,
    (route, key): (&RouteName, &str),
) -> AnswerName {
    let state = controller.live().state();
    let spec = state
        .spec
        .route(route)
        .filter(|_| is_sealed(key.as_bytes()));
    let pins = spec.map(|spec| spec.effective_pins()).unwrap_or_default();
    let opened = pins.iter().find_map(|source| opened(ring, source, key));
    AnswerName::Session {
        route: route.clone(),
        key: opened.unwrap_or_else(|| key.to_owned()),
    }
}

fn opened(ring: &KeyRing, source: &PinSource, text: &str) -> Option<String> {
    let label = match source {
        PinSource::Cookie(name) => Label::pin_cookie(name),
        PinSource::Header(name) => Label::pin_header(name),
    };
    let mut content = Content::default();
    let pin = Pin::open(ring, &label, text.as_bytes(), &mut content).ok()?;
    String::from_utf8(pin.id.to_vec()).ok()
}

fn within(text: &str, key: &str, most: usize) -> Result<(), ApiError> {
    if (1..=most).contains(&text.chars().count()) {
        return Ok(());
    }
    let message = format!("`{key}` has 1 to {most} characters");
    Err(ApiError::invalid(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> FeedbackRequest {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_request_names_one_answer_in_one_way() {
        let chat: RouteName = "chat".parse().unwrap();
        for (json, expected) in [
            (
                serde_json::json!({ "stamp": "sb1.a" }),
                NamedAnswer::Stamp("sb1.a"),
            ),
            (
                serde_json::json!({ "request_id": "a" }),
                NamedAnswer::RequestId("a"),
            ),
            (
                serde_json::json!({ "session": "u7", "route": "chat" }),
                NamedAnswer::Session(&chat, "u7"),
            ),
        ] {
            assert_eq!(NamedAnswer::of(&read(json)).unwrap(), expected);
        }
        for json in [
            serde_json::json!({}),
            serde_json::json!({ "session": "u7" }),
            serde_json::json!({ "route": "chat" }),
            serde_json::json!({ "stamp": "a", "request_id": "a" }),
            serde_json::json!({ "stamp": "a", "route": "chat" }),
            serde_json::json!({ "request_id": "a", "route": "chat" }),
            serde_json::json!({ "request_id": "a", "session": "u7", "route": "chat" }),
            serde_json::json!({ "request_id": "" }),
            serde_json::json!({ "request_id": "x".repeat(129) }),
            serde_json::json!({ "session": "x".repeat(1_501), "route": "chat" }),
        ] {
            let request = read(json.clone());
            let refused = NamedAnswer::of(&request);
            assert_eq!(
                refused.map_err(|error| error.status().as_u16()),
                Err(422),
                "{json}"
            );
        }
    }

    #[test]
    fn a_sealed_session_id_is_the_endpoints_inside() {
        let ring = KeyRing::new(&["a-secret-of-the-tests-of-named-answers"])
            .unwrap()
            .unwrap();
        let pin = Pin {
            issued: 1,
            release: 2,
            endpoint: "127.0.0.1:1".parse().unwrap(),
            id: b"task-7",
        };
        let text = pin
            .seal(&ring, &Label::pin_header("mcp-session-id"))
            .unwrap();
        let text = std::str::from_utf8(&text).unwrap();
        let header = |name: &str| PinSource::Header(name.to_owned());
        let found = opened(&ring, &header("mcp-session-id"), text);
        assert_eq!(found.as_deref(), Some("task-7"));
        assert_eq!(opened(&ring, &header("other"), text), None);
    }
}
