//! Responses that a route gives itself, compiled with the route.

use std::sync::Arc;

use super::redirect::Redirect;
use crate::model::{HumanDuration, MaintenanceSpec, RespondSpec, RouteSpec};

/// Time after which clients may come again to a route in maintenance, by default.
const MAINTENANCE_RETRY: HumanDuration = HumanDuration::seconds(60);
/// Type of a fixed response.
const TEXT: &str = "text/plain; charset=utf-8";
/// Type of the page of a maintenance.
const HTML: &str = "text/html; charset=utf-8";

/// Responses of a route in place of those of a release. A redirect comes before the others.
#[derive(Debug)]
pub struct Answers {
    redirect: Option<Redirect>,
    own: Option<OwnAnswer>,
}

/// Response to every request that is not redirected.
#[derive(Debug)]
pub enum OwnAnswer {
    /// The route has a split and is in maintenance.
    Maintenance(Arc<Page>),
    /// The route has a fixed response and no split.
    Respond(Arc<Page>),
    /// The route has neither: a request that its redirect would lead to itself has nowhere to go.
    Nothing,
}

/// A response whose head and body are known.
#[derive(Debug)]
pub struct Page {
    status: u16,
    content_type: Box<str>,
    body: Box<str>,
    // In whole seconds.
    retry_after: Option<Box<str>>,
    is_html: bool,
}

impl Answers {
    /// The responses of a route; `None` if all its requests go to its releases.
    pub(super) fn new(route: &RouteSpec) -> Option<Box<Self>> {
        let redirect = route.redirect.as_ref();
        let redirect = redirect.map(|spec| Redirect::new(spec, route.path_prefix.as_deref()));
        let maintenance = route.maintenance.as_ref().filter(|spec| spec.on);
        let own = match (&route.respond, maintenance) {
            (Some(spec), _) => Some(OwnAnswer::Respond(Arc::new(Page::fixed(spec)))),
            (None, Some(spec)) => Some(OwnAnswer::Maintenance(Arc::new(Page::maintenance(spec)))),
            (None, None) if route.split.is_empty() => Some(OwnAnswer::Nothing),
            (None, None) => None,
        };
        (redirect.is_some() || own.is_some()).then(|| Box::new(Self { redirect, own }))
    }

    /// Its redirect.
    pub fn redirect(&self) -> Option<&Redirect> {
        self.redirect.as_ref()
    }

    /// The response to every request that is not redirected; `None` if they go to its releases.
    pub fn own(&self) -> Option<&OwnAnswer> {
        self.own.as_ref()
    }
}

impl Page {
    fn fixed(spec: &RespondSpec) -> Self {
        let content_type = spec.content_type.as_deref().unwrap_or(TEXT);
        Self::new(spec.status, content_type, &spec.body, spec.retry_after)
    }

    fn maintenance(spec: &MaintenanceSpec) -> Self {
        let content_type = spec.content_type.as_deref().unwrap_or(HTML);
        let retry_after = spec.retry_after.unwrap_or(MAINTENANCE_RETRY);
        Self::new(503, content_type, &spec.body, Some(retry_after))
    }

    fn new(
        status: u16,
        content_type: &str,
        body: &str,
        retry_after: Option<HumanDuration>,
    ) -> Self {
        let kind = content_type.split(';').next().unwrap_or_default();
        Self {
            status,
            content_type: content_type.into(),
            body: body.into(),
            retry_after: retry_after.map(|time| whole_seconds(time).to_string().into()),
            is_html: kind.trim().eq_ignore_ascii_case("text/html"),
        }
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Its body; may be empty.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Type of its body.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// True if its body is HTML.
    pub fn is_html(&self) -> bool {
        self.is_html
    }

    /// Value of its `Retry-After`.
    pub fn retry_after(&self) -> Option<&str> {
        self.retry_after.as_deref()
    }
}

/// A time in seconds, rounded up: nobody is to come too early.
fn whole_seconds(time: HumanDuration) -> u64 {
    let whole = time.0.as_secs();
    whole + u64::from(time.0.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RouteName, Weights};

    fn route(json: &str) -> RouteSpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_route_that_only_splits_has_no_answers() {
        let plain = RouteSpec::plain(RouteName::new("r").unwrap(), Weights::new());
        let split = RouteSpec {
            split: [("blue".parse().unwrap(), 1)].into(),
            ..plain
        };
        assert!(Answers::new(&split).is_none());
        let off = route(r#"{"name":"r","split":{"blue":1},"maintenance":{"on":false}}"#);
        assert!(Answers::new(&off).is_none());
    }

    #[test]
    fn a_page_has_a_type_and_says_when_to_come_again() {
        let on = route(r#"{"name":"r","split":{"blue":1},"maintenance":{"on":true}}"#);
        let answers = Answers::new(&on).unwrap();
        let Some(OwnAnswer::Maintenance(page)) = answers.own() else {
            panic!("{answers:?}");
        };
        assert_eq!((page.status(), page.retry_after()), (503, Some("60")));
        assert!(page.is_html() && page.body().is_empty());
        let fixed =
            route(r#"{"name":"r","respond":{"status":429,"body":"later","retry_after":"1500ms"}}"#);
        let answers = Answers::new(&fixed).unwrap();
        let Some(OwnAnswer::Respond(page)) = answers.own() else {
            panic!("{answers:?}");
        };
        assert_eq!((page.status(), page.retry_after()), (429, Some("2")));
        assert_eq!((page.content_type(), page.body()), (TEXT, "later"));
    }
}
