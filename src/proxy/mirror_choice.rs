//! The choice of requests that are mirrored, and the copy of their heads.

use std::sync::Arc;
use std::time::Duration;

use super::flag_fields::FlagFields;
use super::forward::{self, Forwarding};
use super::guarded::hides_authorization;
use super::io::RequestParts;
use super::mirror::{Chosen, CopiedHead};
use super::request_context::RequestContext;
use super::select::Selected;
use crate::message::{KnownField, Method, RequestFraming};
use crate::model::{DecisionReason, HostHeader, MIRROR_FIELD, MirrorSkip, Outcome, RequestView};
use crate::stats::MirroredAnswer;
use crate::table::Mirror;

/// Chooses a request for the mirror of its route, or not, by the table that it was selected by.
#[cold]
#[inline(never)]
pub(super) fn choose(context: &mut RequestContext, selected: &Selected, parts: &RequestParts<'_>) {
    let mirror = selected.route().mirror();
    let Some(mirror) = mirror.filter(|mirror| is_meant(context, selected, parts, mirror)) else {
        context.mirrored = None;
        return;
    };
    let before = context.mirrored.as_ref();
    // Its body may have been read since.
    if !before.is_some_and(|chosen| chosen.is_for(mirror)) {
        context.mirrored = Some(Box::new(chosen(context, selected, parts, mirror)));
    }
}

/// True if the request is one of the share: not a preview, not a copy itself, and not served by the mirror's release.
fn is_meant(
    context: &RequestContext,
    selected: &Selected,
    parts: &RequestParts<'_>,
    mirror: &Mirror,
) -> bool {
    let is_marked = parts.facts.present.contains(KnownField::XSwitchback)
        && parts.header(MIRROR_FIELD).is_some();
    let has_sessions = selected.route().has_sessions();
    let key = context.session.get().key().filter(|_| has_sessions);
    selected.decision.reason != DecisionReason::Override
        && selected.release().name() != mirror.release().name()
        && !is_marked
        && mirror.includes(key.unwrap_or(context.random_key))
}

fn chosen(
    context: &RequestContext,
    selected: &Selected,
    parts: &RequestParts<'_>,
    mirror: &Arc<Mirror>,
) -> Chosen {
    let spec = mirror.spec();
    let facts = parts.facts;
    let is_safe = matches!(facts.method, Method::Get | Method::Head | Method::Options);
    let is_long =
        matches!(facts.framing, RequestFraming::Length(length) if length > spec.max_body.0 as u64);
    let skipped = if facts.websocket || facts.upgrade.is_some() || facts.method == Method::Connect {
        Some(MirrorSkip::Upgrade)
    } else if !is_safe && !spec.sandbox {
        Some(MirrorSkip::Method)
    } else if is_long {
        Some(MirrorSkip::Body)
    } else {
        None
    };
    if let Some(reason) = skipped {
        return Chosen::skipped(mirror, reason);
    }
    let body = if facts.framing.is_empty() {
        Some((Vec::new(), true))
    } else {
        context.body.start()
    };
    let Some(body) = body else {
        return Chosen::skipped(mirror, MirrorSkip::Body);
    };
    let head = copied_head(context, selected, parts, spec.credentials);
    Chosen::new(mirror, head, body, &context.worker.shared.mirrors)
}

fn copied_head(
    context: &RequestContext,
    selected: &Selected,
    parts: &RequestParts<'_>,
    keeps_credentials: bool,
) -> CopiedHead {
    let (worker, route) = (&context.worker, selected.route());
    let settings = &worker.shared.settings;
    let forwarding = Forwarding {
        peer: context.peer,
        id: &context.id,
        via: settings.sends_via.then_some(&settings.via),
        host: None,
        hides_key: false,
        trace: None,
        span: None,
        pins: None,
        is_card: false,
        hides_authorization: hides_authorization(&context.guarded),
        flags: route
            .flags()
            .map(|flags| FlagFields::new(flags, selected.decision.flags)),
        changes: route.request_headers().map(|rules| {
            (
                rules,
                context.request_header_values(&selected.decision, parts),
            )
        }),
    };
    let path = forward::path(&parts.facts.target, route);
    let target = (path, parts.facts.target.query);
    let mut head = CopiedHead::new(parts.method, target, keeps_credentials);
    let mut scratch = worker.take_buffer();
    forward::write_request(&mut head, parts, &forwarding, &mut scratch);
    worker.recycle_buffer(scratch);
    if route.host_header() == HostHeader::Endpoint {
        head.hide_host();
    }
    if !route.pins().is_empty() {
        // Ids of sessions that another release began lead nowhere there, and are not its to know.
        head.remove(|name| route.pins().iter().any(|pin| pin.is_header(name)));
    }
    head
}

impl RequestContext {
    /// Hands the copy of a chosen request over.
    #[cold]
    #[inline(never)]
    pub(super) fn finish_mirrored(&self, chosen: Chosen, outcome: Outcome, duration: Duration) {
        let status = match outcome {
            Outcome::Answered(status) | Outcome::Failed(status) => Some(status),
            Outcome::ClientGone(_) | Outcome::Cut(_) => None,
        };
        let original = status.map(|status| MirroredAnswer {
            status,
            duration,
            bytes: self.bytes_out.get(),
        });
        chosen.finish(original, &self.worker.shared.mirrors);
    }
}
