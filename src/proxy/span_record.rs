//! A request as a record for its trace.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::fleet::Endpoint;
use crate::model::{Outcome, OutcomeClass, Scheme};
use crate::net::Tick;
use crate::table::Release;
use crate::telemetry::RequestSpan;

use super::error_reason::ErrorReason;
use super::log_fields::LogFields;
use super::request_context::RequestContext;
use super::select::Decision;
use super::span_context::SpanContext;

/// Longest path, host and method that are recorded, in bytes.
const LONGEST: usize = 1_024;

impl RequestContext {
    /// Hands the request to the exporter, if it is sampled or has failed and failures are recorded.
    #[cold]
    #[inline(never)]
    pub(super) fn write_span(
        &self,
        span: SpanContext,
        fields: LogFields,
        outcome: Outcome,
        ended: Tick,
    ) {
        let status = self.status.get();
        let has_failed = outcome.class() == OutcomeClass::Failure || status >= Some(500);
        let Some(queue) = &self.worker.shared.settings.spans else {
            return;
        };
        if !span.is_sampled && !has_failed {
            return;
        }
        let decision = self.decision();
        let release = decision.map(Decision::release);
        let name = |text: &str| text.to_owned();
        queue.push(Box::new(RequestSpan {
            trace: span.trace,
            parent: span.parent,
            server: span.server,
            client: span.client,
            is_sampled: span.is_sampled,
            tracestate: span.tracestate,
            started_at: fields.started_at,
            sent_after: span.sent.get().map(|sent| sent.since(self.started)),
            duration: ended.since(self.started),
            request_id: self.id.to_string(),
            method: shortened(fields.method),
            scheme: if self.peer.is_secure { "https" } else { "http" },
            host: shortened(fields.host),
            path: shortened(fields.path),
            protocol: version(fields.protocol),
            client_address: self.peer.client.ip().to_canonical(),
            user_agent: span.user_agent,
            status,
            is_answered: status.is_some() && !self.is_refused,
            error: self.error.map(ErrorReason::as_str),
            route: self.route().map(|route| name(route.spec().name.as_str())),
            release: release.map(|release| name(release.name().as_str())),
            version: release.map(|release| name(release.version().as_str())),
            revision: decision
                .map_or_else(|| self.worker.revision(), |decision| decision.revision)
                .0,
            reason: decision.map(|decision| decision.reason.as_str()),
            endpoint: self.endpoint,
            endpoint_scheme: scheme_towards(release, self.endpoint).as_str(),
            attempts: self.attempts(),
        }));
    }
}

/// Scheme of an endpoint of a release, which may be draining.
fn scheme_towards(release: Option<&Arc<Release>>, address: Option<SocketAddr>) -> Scheme {
    let scheme = |all: &[Arc<Endpoint>]| {
        let found = all.iter().find(|one| Some(one.address()) == address);
        found.map(|one| one.url().scheme())
    };
    let roster = release.map(|release| release.roster());
    let found = roster
        .and_then(|roster| scheme(&roster.endpoints()).or_else(|| scheme(&roster.draining())));
    found.unwrap_or(Scheme::Http)
}

/// Version of a protocol: `1.1` of `HTTP/1.1`.
fn version(protocol: &'static str) -> &'static str {
    protocol
        .split_once('/')
        .map_or(protocol, |(_, version)| version)
}

/// The begin of a text.
fn shortened(mut text: String) -> String {
    let mut places = (0..=text.len().min(LONGEST)).rev();
    let end = places.find(|&at| text.is_char_boundary(at));
    text.truncate(end.unwrap_or_default());
    text
}
