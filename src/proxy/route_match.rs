//! The route of a request.

use std::sync::Arc;

use crate::message::{Reason, Rejection, normal_path};
use crate::table::{Route, RoutingTable};

use super::error::ProxyError;
use super::io::RequestParts;

/// The route of the path as it came. A path whose normal form matches another route is refused.
pub(super) fn route<'t>(
    table: &'t RoutingTable,
    request: &RequestParts<'_>,
) -> Result<&'t Arc<Route>, ProxyError> {
    let (compiled, path) = (table.compiled(), request.facts.target.path);
    let found = compiled.route(request, path);
    if let std::borrow::Cow::Owned(normal) = normal_path(path).map_err(Rejection::request)? {
        let other = compiled.route(request, &normal);
        if found.map(Arc::as_ptr) != other.map(Arc::as_ptr) {
            return Err(Rejection::request(Reason::AmbiguousPath).into());
        }
    }
    found.ok_or_else(|| no_route(table, request))
}

/// The error for a request that matches no route, because of its method alone or not.
#[cold]
#[inline(never)]
fn no_route(table: &RoutingTable, request: &RequestParts<'_>) -> ProxyError {
    let path = request.facts.target.path;
    let methods = table.compiled().methods_of(request, path);
    if methods.is_empty() {
        ProxyError::NoRoute
    } else {
        ProxyError::MethodNotAllowed(methods.join(", ").into())
    }
}
