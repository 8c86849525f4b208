//! The class of a request in flight, by the head of its response.

use crate::message::{KnownField, ResponseFraming, ValidatedResponse};
use crate::model::{CutCause, WorkClass};

use super::grpc;

/// Media types whose bodies are streams of records.
const STREAMS: [&[u8]; 7] = [
    EVENTS,
    b"application/x-ndjson",
    b"application/ndjson",
    b"application/jsonl",
    b"application/x-jsonlines",
    b"application/stream+json",
    b"multipart/x-mixed-replace",
];
/// Media type of server-sent events.
const EVENTS: &[u8] = b"text/event-stream";

/// The class of a request, and its form where a cut depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResponseClass {
    pub(super) class: WorkClass,
    /// The body is server-sent events that we could add one to.
    pub(super) is_events: bool,
}

/// The end of a request that we end because its release left the route or the process ends: the cause, and what the request was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) cause: CutCause,
    pub(super) class: ResponseClass,
}

// === impl ResponseClass ===

impl ResponseClass {
    /// The class of what has no response yet, or an ordinary one.
    pub(super) const UNARY: Self = Self::of_class(WorkClass::Unary);

    /// The class of a stream.
    pub(super) const fn of_stream(is_events: bool) -> Self {
        Self {
            class: WorkClass::Stream,
            is_events,
        }
    }

    const fn of_class(class: WorkClass) -> Self {
        Self {
            class,
            is_events: false,
        }
    }

    /// The class of a final response. A body of a known length is no stream.
    pub(super) fn of<'h>(
        facts: &ValidatedResponse<'_>,
        content_type: impl FnOnce() -> Option<&'h [u8]>,
    ) -> Self {
        if facts.is_upgrade {
            return Self::of_class(WorkClass::Websocket);
        }
        let is_open = matches!(
            facts.framing,
            ResponseFraming::Chunked | ResponseFraming::UntilClose
        );
        if !is_open || !facts.present.contains(KnownField::ContentType) {
            return Self::UNARY;
        }
        let is_encoded = facts.present.contains(KnownField::ContentEncoding);
        let is_grpc_over = facts.present.contains(KnownField::GrpcStatus);
        content_type().map_or(Self::UNARY, |value| {
            Self::of_type(value, is_encoded, is_grpc_over)
        })
    }

    fn of_type(content_type: &[u8], is_encoded: bool, is_grpc_over: bool) -> Self {
        if grpc::is_grpc(content_type) {
            // A gRPC response that consists of its head is over with it.
            return Self::of_class(if is_grpc_over {
                WorkClass::Unary
            } else {
                WorkClass::GrpcStream
            });
        }
        let end = content_type.iter().position(|byte| *byte == b';');
        let media = content_type[..end.unwrap_or(content_type.len())].trim_ascii();
        if !STREAMS.iter().any(|one| media.eq_ignore_ascii_case(one)) {
            return Self::UNARY;
        }
        Self {
            class: WorkClass::Stream,
            is_events: media.eq_ignore_ascii_case(EVENTS) && !is_encoded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_says_what_is_a_stream() {
        let class = |text: &str| ResponseClass::of_type(text.as_bytes(), false, false);
        for text in ["text/event-stream", "Text/Event-Stream ; charset=utf-8"] {
            let events = class(text);
            assert!(
                events.is_events && events.class == WorkClass::Stream,
                "{text}"
            );
        }
        for text in ["application/x-ndjson", "application/jsonl; charset=utf-8"] {
            assert_eq!(
                class(text),
                ResponseClass::of_class(WorkClass::Stream),
                "{text}"
            );
        }
        for text in ["", "application/json", "text/event-streams", "text/plain"] {
            assert_eq!(class(text), ResponseClass::UNARY, "{text}");
        }
        assert_eq!(class("application/grpc+proto").class, WorkClass::GrpcStream);
        let over = ResponseClass::of_type(b"application/grpc", false, true);
        assert_eq!(over, ResponseClass::UNARY);
        let encoded = ResponseClass::of_type(b"text/event-stream", true, false);
        assert_eq!(
            (encoded.class, encoded.is_events),
            (WorkClass::Stream, false)
        );
    }
}
