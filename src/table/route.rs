//! A route in a compiled table.

use std::sync::Arc;

use super::{
    Answers, Guards, HeaderRules, Mirror, PinField, RetryPolicy, RouteFlags, Split,
    affinity::Affinity, header_rules::HeaderRulesPair,
};
use crate::model::{AffinitySource, AgentProtocol, Hashed, HostHeader, RequestView, RouteSpec};

/// A compiled route with its split.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Route {
    spec: Arc<Hashed<RouteSpec>>,
    split: Split,
    // None if all its requests go to its releases.
    answers: Option<Box<Answers>>,
    request_headers: Option<Box<HeaderRules>>,
    response_headers: Option<Box<HeaderRules>>,
    host_header: HostHeader,
    agent_protocol: Option<AgentProtocol>,
    rewrites_cards: bool,
    // None if the route has no source.
    affinity: Option<Affinity>,
    retries: RetryPolicy,
    mirror: Option<Arc<Mirror>>,
    pins: Box<[PinField]>,
    flags: Option<Box<RouteFlags>>,
    guards: Option<Box<Guards>>,
    // A field of its answers is set by it alone, or removed.
    takes_fields: bool,
    has_sessions: bool,
    is_stamped: bool,
    takes_feedback: bool,
    // A stamp, the decision, fields of the route, compression or rules for other origins, or to ourselves: the answer is remembered.
    says_more: bool,
}

impl Route {
    pub(super) fn new(
        spec: Arc<Hashed<RouteSpec>>,
        split: Split,
        (flags, mirror): (Option<Box<RouteFlags>>, Option<Arc<Mirror>>),
        guards: Option<Box<Guards>>,
        headers: HeaderRulesPair,
    ) -> Self {
        let host_header = spec.effective_host_header();
        let agent_protocol = spec.agent_protocol;
        let has_affinity = !spec.affinity.is_empty();
        let retries = RetryPolicy::new(&spec, &split);
        let pins: Box<[_]> = spec.effective_pins().iter().map(PinField::new).collect();
        Self {
            answers: Answers::new(&spec),
            has_sessions: spec.has_sessions(),
            is_stamped: spec.is_stamped(),
            takes_feedback: spec.takes_feedback(),
            says_more: spec.takes_feedback()
                || spec.expose_decision
                || headers.response.is_some()
                || spec.compress.is_some()
                || spec.cors.is_some(),
            takes_fields: spec.exposed_field().is_some()
                || headers.response.is_some()
                || spec.cors.is_some(),
            request_headers: headers.request,
            response_headers: headers.response,
            pins,
            flags,
            guards,
            rewrites_cards: spec.rewrites_cards(),
            affinity: has_affinity.then(|| Affinity::new(&spec.affinity)),
            retries,
            mirror,
            spec,
            split,
            host_header,
            agent_protocol,
        }
    }

    /// Its spec.
    pub fn spec(&self) -> &Arc<Hashed<RouteSpec>> {
        &self.spec
    }

    /// `Host` that endpoints get.
    pub fn host_header(&self) -> HostHeader {
        self.host_header
    }

    /// Its retry policy.
    pub fn retries(&self) -> &RetryPolicy {
        &self.retries
    }

    /// Protocol of the agents, if it is configured.
    pub fn agent_protocol(&self) -> Option<AgentProtocol> {
        self.agent_protocol
    }

    /// True if agent cards that name an endpoint of the route are rewritten.
    #[inline]
    pub fn rewrites_cards(&self) -> bool {
        self.rewrites_cards
    }

    /// Its mirror, if a share of its requests is copied to a release.
    #[inline]
    pub fn mirror(&self) -> Option<&Arc<Mirror>> {
        self.mirror.as_ref()
    }

    /// Responses that it gives itself, if it gives any.
    #[inline]
    pub fn answers(&self) -> Option<&Answers> {
        self.answers.as_deref()
    }

    /// Changes of the fields that its endpoints get, if there are any.
    #[inline]
    pub fn request_headers(&self) -> Option<&HeaderRules> {
        self.request_headers.as_deref()
    }

    /// Changes of the fields that its clients get, if there are any.
    #[inline]
    pub fn response_headers(&self) -> Option<&HeaderRules> {
        self.response_headers.as_deref()
    }

    /// Its releases and their weights; none if it answers all its requests itself.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// Split key of the request's session, from the first affinity source that is present. `None`: use a random key.
    #[inline]
    pub fn affinity_key(&self, request: &impl RequestView) -> Option<u64> {
        self.affinity.as_ref()?.key(request)
    }

    /// True if its requests may belong to sessions, so that a decision notes more than the release.
    #[inline]
    pub fn has_sessions(&self) -> bool {
        self.has_sessions
    }

    /// True if its answers carry a sealed stamp.
    pub fn is_stamped(&self) -> bool {
        self.is_stamped
    }

    /// True if users can say what they think of its answers.
    pub fn takes_feedback(&self) -> bool {
        self.takes_feedback
    }

    /// True if the fields that tell browsers of pages of other origins are its own.
    pub fn has_cors(&self) -> bool {
        self.spec.cors.is_some()
    }

    /// True if more is done at the head of an answer than naming the release: a stamp, the whole decision, fields of the
    /// route, of compression or for pages of other origins, or a note for feedback.
    #[inline]
    pub fn says_more(&self) -> bool {
        self.says_more
    }

    /// True if a field of its answers is set by the route alone, or removed.
    #[inline]
    pub fn takes_fields(&self) -> bool {
        self.takes_fields
    }

    /// Fields that carry pins.
    pub fn pins(&self) -> &[PinField] {
        &self.pins
    }

    /// Flags that its endpoints get, if there are any.
    #[inline]
    pub fn flags(&self) -> Option<&RouteFlags> {
        self.flags.as_deref()
    }

    /// Guards that its requests have to pass before a release is chosen, if it has any.
    #[inline]
    pub fn guards(&self) -> Option<&Guards> {
        self.guards.as_deref()
    }

    /// Name of the cookie to set if a request has no key, if the route generates one.
    pub fn generated_cookie(&self) -> Option<&str> {
        match self.spec.affinity.last()? {
            AffinitySource::GeneratedCookie(name) => Some(name),
            _ => None,
        }
    }
}
