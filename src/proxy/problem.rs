//! Responses of our own: mostly a small problem document with the reason and the request's id, and no internals.

use crate::message::{Reason, ResponseFraming};
use crate::table::HeaderRules;

use super::date;
use super::error::ProxyError;
use super::error_form::ErrorForm;
use super::forward::RequestId;
use super::grpc::{self, GrpcStatus};
use super::guarded::Guarded;
use super::header_fields::HeaderValues;
use super::io::{BodyFrame, FieldSink, RequestMeta, Responder, ResponseStart};
use super::outcome::RequestEnd;
use super::request_context::RequestContext;
use super::route_answer::RouteAnswer;
use super::worker::Worker;

/// The methods that are forwarded.
const ALLOW: &[u8] = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

/// The subject of a response of ours.
pub(super) struct Own<'p> {
    pub(super) worker: &'p Worker,
    pub(super) id: &'p RequestId,
    pub(super) error: &'p ProxyError,
    pub(super) form: ErrorForm,
    /// An endpoint may have executed the request, and must not do so twice.
    pub(super) may_be_done: bool,
    /// Notes of the guards of its route, if that has any.
    pub(super) guarded: Option<&'p Guarded>,
    /// Changes of the route's response fields, if there are any, with the values of their variables.
    pub(super) changes: Option<(&'p HeaderRules, HeaderValues<'p>)>,
    /// The request is a `HEAD`, so there is no body.
    pub(super) to_head: bool,
    /// Nothing of the request is left that would have to be read before the next one.
    pub(super) request_is_read: bool,
}

/// Responds in place of an endpoint. The connection goes on if the request was read to its end, or nearly so.
pub(super) async fn respond_problem<R: Responder>(
    context: &mut RequestContext,
    meta: RequestMeta,
    error: &ProxyError,
    is_nearly_read: bool,
    responder: &mut R,
) -> RequestEnd {
    let own = Own {
        worker: &context.worker,
        id: &context.id,
        error,
        form: context.error_form,
        may_be_done: context.may_be_done(&meta),
        guarded: context.guarded.get().map(AsRef::as_ref),
        changes: changes(context),
        to_head: meta.asked.head,
        request_is_read: is_nearly_read && !ends_connection(error),
    };
    let is_literal = error.by_route().is_some_and(RouteAnswer::is_literal);
    let started = if meta.is_grpc && !is_literal {
        own.start_grpc(&grpc_text(context, error), responder)
    } else {
        own.start(responder)
    };
    let Some(body) = started else {
        return RequestEnd::Cut;
    };
    context.status.set(Some(context.error_form.status(error)));
    finish(&body, responder).await
}

/// The error in words, for a client that sees nothing else of it.
fn grpc_text(context: &RequestContext, error: &ProxyError) -> String {
    let ProxyError::Refused(rejection) = error else {
        return error.to_string();
    };
    let most = context.route().and_then(|route| route.spec().max_body);
    match most {
        Some(most) if rejection.reason == Reason::BodyTooLarge => {
            format!("the body is longer than {most} (`max_body` of the route)")
        }
        _ => format!("{error}: {}", rejection.reason),
    }
}

/// The changes of the response fields of a request's route.
fn changes(context: &RequestContext) -> Option<(&HeaderRules, HeaderValues<'_>)> {
    let rules = context.route()?.response_headers()?;
    Some((rules, context.own_header_values()?))
}

/// True if a refused request leaves it unclear where the client's next one begins. A refused upgrade does not: it came
/// without a body, as any other request.
fn ends_connection(error: &ProxyError) -> bool {
    matches!(error, ProxyError::Refused(rejection) if rejection.reason != Reason::UpgradeUnsupported)
}

/// Responds to a request whose head was refused, where others go on beside it.
pub(super) async fn respond_refused<R: Responder>(own: Own<'_>, responder: &mut R) -> RequestEnd {
    match own.start(responder) {
        Some(body) => finish(&body, responder).await,
        None => RequestEnd::Cut,
    }
}

async fn finish<R: Responder>(body: &[u8], responder: &mut R) -> RequestEnd {
    let frame = BodyFrame {
        data: body,
        last: true,
        trailers: None,
    };
    match responder.send(frame).await {
        Ok(()) => RequestEnd::Whole,
        Err(_) => RequestEnd::Cut,
    }
}

// === impl Own ===

impl Own<'_> {
    /// Writes the head of the answer, and hands out its body.
    fn start<R: Responder>(&self, responder: &mut R) -> Option<Vec<u8>> {
        let body = self.body();
        let framing = self.framing(&body);
        self.respond(responder, self.form.status(self.error), framing, |out| {
            self.write_fields(out);
        })?;
        Some(self.sent(body))
    }

    /// The same for a client that speaks gRPC: one head, which says how the call ended.
    fn start_grpc<R: Responder>(&self, text: &str, responder: &mut R) -> Option<Vec<u8>> {
        let status = GrpcStatus::of_http(self.error.status());
        self.respond(responder, 200, self.framing(&[]), |out| {
            out.add("content-type", b"application/grpc");
            out.add("grpc-status", status.value().as_bytes());
            out.add("grpc-message", grpc::message(text).as_bytes());
            self.write_of_guards(out);
            self.write_marks(out);
        })?;
        Some(Vec::new())
    }

    fn respond<R: Responder>(
        &self,
        responder: &mut R,
        status: u16,
        framing: ResponseFraming,
        fields: impl FnOnce(&mut dyn FieldSink),
    ) -> Option<()> {
        let responding = ResponseStart {
            status,
            reason: b"",
            upgrade: None,
            framing,
            request_is_read: self.request_is_read,
        };
        responder.respond(&responding, fields).ok().map(|_| ())
    }

    /// Every answer of ours says how long it is.
    pub(super) fn framing(&self, body: &[u8]) -> ResponseFraming {
        let length = body.len() as u64;
        if matches!(self.error.status(), 204 | 304) {
            ResponseFraming::None
        } else if self.to_head {
            ResponseFraming::Announced(length)
        } else {
            ResponseFraming::Length(length)
        }
    }

    /// The part of a body that is sent.
    pub(super) fn sent(&self, body: Vec<u8>) -> Vec<u8> {
        if self.to_head { Vec::new() } else { body }
    }

    /// The body, as it is or would be.
    pub(super) fn body(&self) -> Vec<u8> {
        if let Some((body, _)) = self.of_route() {
            return body.as_bytes().to_vec();
        }
        match self.error {
            ProxyError::Preflight => Vec::new(),
            ProxyError::AcmeChallenge(answer) => answer.as_bytes().to_vec(),
            ProxyError::LastHop(traced) => traced.as_deref().unwrap_or_default().to_vec(),
            error => self.form.body(error, self.id),
        }
    }

    /// The body that the route gives, and its type.
    fn of_route(&self) -> Option<(&str, &str)> {
        let is_plain = self.form == ErrorForm::Problem;
        self.error.by_route()?.body(is_plain)
    }

    /// The fields of a response that the route gives as it was configured.
    fn write_of_route(&self, answer: &RouteAnswer, out: &mut dyn FieldSink) {
        if let Some((_, content_type)) = self.of_route().filter(|(body, _)| !body.is_empty()) {
            out.add("content-type", content_type.as_bytes());
        }
        if let Some(location) = answer.location() {
            out.add("location", location);
        }
        if !answer.is_literal() {
            out.add("cache-control", b"no-store");
        }
        self.write_marks(out);
        if let Some(seconds) = answer.retry_after() {
            out.add("retry-after", seconds.as_bytes());
        }
    }

    /// The fields of such an answer.
    pub(super) fn write_fields(&self, out: &mut dyn FieldSink) {
        if let Some(answer) = self.error.by_route()
            && self.of_route().is_some()
        {
            return self.write_of_route(answer, out);
        }
        match self.error {
            ProxyError::AcmeChallenge(_) => out.add("content-type", b"application/octet-stream"),
            ProxyError::LastHop(Some(_)) => out.add("content-type", b"message/http"),
            ProxyError::LastHop(None) | ProxyError::Preflight => {}
            _ => out.add("content-type", self.form.content_type()),
        }
        if let ProxyError::MethodNotAllowed(methods) = self.error {
            out.add("allow", methods.as_bytes());
        } else if self.error.names_methods() {
            out.add("allow", ALLOW);
        }
        out.add("cache-control", b"no-store");
        self.write_marks(out);
        self.write_of_guards(out);
        if let Some(seconds) = self.error.retry_after() {
            out.add("retry-after", seconds.to_string().as_bytes());
        } else if self.error.is_momentary() {
            // Small, since clients treat large values in many ways; random, so that they do not come together.
            let seconds = [b'1' + (self.worker.random() % 5) as u8];
            out.add("retry-after", &seconds);
        }
        if let Some(seconds) = self.error.by_route().and_then(RouteAnswer::retry_after) {
            out.add("retry-after", seconds.as_bytes());
        }
    }

    /// The fields that the guards of the route ask for.
    fn write_of_guards(&self, out: &mut dyn FieldSink) {
        if let ProxyError::Unauthorized(access) = self.error {
            for challenge in access.challenges() {
                out.add("www-authenticate", challenge);
            }
        }
        match (self.guarded, self.error) {
            (None, _) => {}
            (Some(guarded), ProxyError::Preflight) => guarded.write_preflight(out),
            (Some(guarded), _) => guarded.write_cors(out),
        }
    }

    /// The fields of every response of ours.
    fn write_marks(&self, out: &mut dyn FieldSink) {
        let date: [u8; date::LENGTH] = self.worker.date();
        out.add("date", &date);
        out.add(
            "x-switchback-reason",
            self.error.reason().as_str().as_bytes(),
        );
        out.add("x-request-id", self.id.to_string().as_bytes());
        if self.may_be_done {
            // The SDKs of OpenAI and Anthropic obey: without it they have a POST executed up to three times.
            out.add("x-should-retry", b"false");
        }
        if let Some((rules, values)) = &self.changes {
            let is_literal = self.error.by_route().is_some_and(RouteAnswer::is_literal);
            values.write(rules, out, |name| {
                name == "content-type" || name == "cache-control" && !is_literal
            });
        }
    }
}
