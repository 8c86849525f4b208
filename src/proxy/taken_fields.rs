//! Received fields that are not passed on: one that only the proxy sets, and those that the route removes.

use crate::message::{Field, is_about_bytes};
use crate::table::{Route, RouteFlags};

/// Fields of a message that are not passed on, whatever their value. It is as small as a slice, since it stays beside a
/// body for as long as that is relayed.
#[derive(Clone, Copy, Default)]
pub(super) enum TakenFields<'f> {
    /// There are none.
    #[default]
    None,
    /// Those that the route of a request writes or removes.
    OfRequest(&'f Route),
    /// Those that the route of a response sets alone or removes.
    OfResponse(&'f Route),
    /// The same, and those that do not hold for a body with another coding.
    OfRecoded(&'f Route),
}

impl TakenFields<'_> {
    /// True if there are none in the head of a response.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::OfRequest(_) | Self::OfRecoded(_) => false,
            Self::OfResponse(route) => !route.takes_fields(),
        }
    }

    /// True for one of them.
    pub(super) fn takes(&self, field: &Field<'_>) -> bool {
        let (own, rules) = match self {
            Self::None => return false,
            Self::OfRequest(route) => {
                let is_baggage = route.flags().is_some_and(RouteFlags::in_baggage);
                (is_baggage.then_some("baggage"), route.request_headers())
            }
            Self::OfRecoded(_) if is_about_bytes(field) => return true,
            Self::OfResponse(route) | Self::OfRecoded(route) => {
                (route.spec().exposed_field(), route.response_headers())
            }
        };
        let for_pages =
            || matches!(self, Self::OfResponse(route) | Self::OfRecoded(route) if route.has_cors());
        own.is_some_and(|name| field.name.eq_ignore_ascii_case(name.as_bytes()))
            || rules.is_some_and(|rules| rules.takes(field))
            || for_pages() && is_for_pages(field)
    }
}

/// True for a field that tells browsers of pages of other origins.
fn is_for_pages(field: &Field<'_>) -> bool {
    const PREFIX: &[u8] = b"access-control-";
    let start = field.name.get(..PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}
