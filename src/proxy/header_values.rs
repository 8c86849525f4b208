//! Values of the variables in header fields, for a request and its response.

use super::header_fields::HeaderValues;
use super::request_context::RequestContext;
use super::select::Decision;

impl RequestContext {
    /// The values for a request to an endpoint of the release that was decided on, or for its response.
    pub(super) fn header_values<'v>(
        &'v self,
        decision: &'v Decision,
        host: &'v str,
    ) -> HeaderValues<'v> {
        let release = decision.release();
        HeaderValues {
            id: &self.id,
            client: self.peer.client.ip().to_canonical(),
            route: decision.route.spec().name.as_str(),
            host,
            release: Some((
                release.name().as_str(),
                release.version().as_str(),
                decision.revision,
            )),
        }
    }

    /// The values for a response of our own; `None` if the request has no route.
    pub(super) fn own_header_values(&self) -> Option<HeaderValues<'_>> {
        if let Some(decision) = self.decision() {
            return Some(self.header_values(decision, ""));
        }
        Some(HeaderValues {
            id: &self.id,
            client: self.peer.client.ip().to_canonical(),
            route: self.route()?.spec().name.as_str(),
            host: "",
            release: None,
        })
    }
}
