//! Values of the variables in header fields, for a request and its response.

use crate::model::RequestView as _;

use super::header_fields::HeaderValues;
use super::io::RequestParts;
use super::request_context::RequestContext;
use super::select::Decision;
use super::session::client_address;

impl RequestContext {
    /// The values for the response of the release that was decided on.
    pub(super) fn header_values<'v>(&'v self, decision: &'v Decision) -> HeaderValues<'v> {
        let release = decision.release();
        HeaderValues {
            id: &self.id,
            route: decision.route.spec().name.as_str(),
            request: None,
            release: Some((
                release.name().as_str(),
                release.version().as_str(),
                decision.revision,
            )),
        }
    }

    /// The values for a request to an endpoint of that release.
    pub(super) fn request_header_values<'v>(
        &'v self,
        decision: &'v Decision,
        parts: &'v RequestParts<'_>,
    ) -> HeaderValues<'v> {
        let settings = &self.worker.shared.settings;
        let client = client_address(parts, self.peer, settings);
        HeaderValues {
            request: Some((client, parts.host())),
            ..self.header_values(decision)
        }
    }

    /// The values for a response of our own; `None` if the request has no route.
    pub(super) fn own_header_values(&self) -> Option<HeaderValues<'_>> {
        if let Some(decision) = self.decision() {
            return Some(self.header_values(decision));
        }
        Some(HeaderValues {
            id: &self.id,
            route: self.route()?.spec().name.as_str(),
            request: None,
            release: None,
        })
    }
}
