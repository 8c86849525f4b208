//! Responses that a route gives itself: a redirect, a fixed response, the page of a maintenance. No endpoint is asked.

use std::sync::Arc;

use crate::table::Page;

/// Response that a route gives to one request.
#[derive(Debug)]
pub(super) enum RouteAnswer {
    /// The route is in maintenance. True if the client gets the page.
    Maintenance(Arc<Page>, bool),
    /// It is led to another URL.
    Redirect { status: u16, location: Box<[u8]> },
    /// The fixed response of the route.
    Respond(Arc<Page>),
}

impl RouteAnswer {
    /// Its text in errors of other protocols.
    pub(super) const fn message(&self) -> &'static str {
        match self {
            Self::Maintenance(..) => "the route is in maintenance",
            Self::Redirect { .. } => "the route redirects",
            Self::Respond(_) => "the route has a fixed response",
        }
    }

    /// Its status.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Maintenance(page, _) | Self::Respond(page) => page.status(),
            Self::Redirect { status, .. } => *status,
        }
    }

    /// True if it is sent as it was configured, whatever protocol the client speaks.
    pub(super) const fn is_literal(&self) -> bool {
        !matches!(self, Self::Maintenance(..))
    }

    /// The URL of its `Location`.
    pub(super) fn location(&self) -> Option<&[u8]> {
        match self {
            Self::Redirect { location, .. } => Some(location),
            Self::Maintenance(..) | Self::Respond(_) => None,
        }
    }

    /// Its body and the type of that; `None` if it is to have the form of an error. `is_plain` if that form is no protocol of
    /// agents.
    pub(super) fn body(&self, is_plain: bool) -> Option<(&str, &str)> {
        match self {
            Self::Redirect { .. } => Some(("", "")),
            Self::Respond(page) => Some((page.body(), page.content_type())),
            Self::Maintenance(page, true) if is_plain => Some((page.body(), page.content_type())),
            Self::Maintenance(..) => None,
        }
    }

    /// Value of its `Retry-After`.
    pub(super) fn retry_after(&self) -> Option<&str> {
        match self {
            Self::Maintenance(page, _) | Self::Respond(page) => page.retry_after(),
            Self::Redirect { .. } => None,
        }
    }
}
