//! The response that a route gives to a request itself, if it gives one.

use std::sync::Arc;

use crate::message::{Field, KnownField, Reason};
use crate::table::{Answers, OwnAnswer, Page, Redirect};

use super::io::RequestParts;
use super::requested_url::requested;
use super::route_answer::RouteAnswer;
use super::settings::PeerInfo;

impl RouteAnswer {
    /// The response of a route; `None` if a release is to give one. A request that names its release by an override gets
    /// it in a maintenance as well, so that what was repaired can be tried.
    ///
    /// # Errors
    /// A request that does not say how it has reached the proxy, or whose redirect would lead it to itself.
    #[cold]
    #[inline(never)]
    pub(super) fn of(
        answers: &Answers,
        parts: &RequestParts<'_>,
        peer: PeerInfo,
        is_override: impl FnOnce() -> bool,
    ) -> Result<Option<Self>, Reason> {
        if let Some(redirect) = answers.redirect()
            && let Some(led) = Self::redirected(redirect, parts, peer)?
        {
            return Ok(Some(led));
        }
        match answers.own() {
            Some(OwnAnswer::Respond(page)) => Ok(Some(Self::Respond(Arc::clone(page)))),
            Some(OwnAnswer::Maintenance(page)) => {
                Ok((!is_override())
                    .then(|| Self::Maintenance(Arc::clone(page), wants(page, parts))))
            }
            Some(OwnAnswer::Nothing) => Err(Reason::Loop),
            None => Ok(None),
        }
    }

    fn redirected(
        redirect: &Redirect,
        parts: &RequestParts<'_>,
        peer: PeerInfo,
    ) -> Result<Option<Self>, Reason> {
        let missing = if parts.facts.authority.is_some() {
            Reason::InvalidHost
        } else {
            Reason::MissingHost
        };
        let requested = requested(parts, peer).ok_or(missing)?;
        let target = &parts.facts.target;
        let location = redirect.location(requested.origin(), target.path, target.query);
        Ok(location.map(|location| Self::Redirect {
            status: redirect.status(),
            location: location.into(),
        }))
    }
}

/// True if a client is to get the page of a maintenance: there is one, and if it is HTML, the client asks for that.
fn wants(page: &Page, parts: &RequestParts<'_>) -> bool {
    let is_html = |field: Field<'_>| {
        field.known == KnownField::Accept
            && field
                .value
                .to_ascii_lowercase()
                .windows(9)
                .any(|part| part == b"text/html")
    };
    !page.body().is_empty() && (!page.is_html() || parts.fields.clone().any(is_html))
}
