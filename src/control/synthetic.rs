//! Synthetic requests: the way from the control plane to the proxy, for drills.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;

use crate::model::{DrillRequestSpec, OVERRIDE_FIELD, ReleaseName, RouteSpec};

/// Field that marks a synthetic request for the agents, with the id of the drill.
const DRILL_FIELD: &str = "switchback-drill";

/// A request to be sent through the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntheticRequest {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Header fields, `host` among them.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
    /// Timeout for the whole response.
    pub timeout: Duration,
}

/// Sender of synthetic requests through the proxy, in which they may name their release.
pub trait SyntheticTraffic: fmt::Debug + Send + Sync {
    /// Sends a request and reads its response to the end: its status, or the reason for which there is none.
    fn send(&self, request: SyntheticRequest) -> BoxFuture<'_, Result<u16, String>>;
}

impl SyntheticRequest {
    /// The request of a drill on a route; to a release if it is to be an override.
    pub(super) fn new(
        route: &RouteSpec,
        spec: &DrillRequestSpec,
        drill: &str,
        release: Option<&ReleaseName>,
    ) -> Self {
        let mut headers = route.headers.clone();
        headers.insert("host".to_owned(), host_of(route));
        headers.insert("accept".to_owned(), "*/*".to_owned());
        headers.insert("user-agent".to_owned(), "switchback-drill".to_owned());
        headers.extend(spec.headers.clone());
        headers.insert(DRILL_FIELD.to_owned(), drill.to_owned());
        if let Some(release) = release {
            headers.insert(OVERRIDE_FIELD.to_owned(), release.to_string());
        }
        Self {
            method: spec.method.clone(),
            target: spec.path.clone(),
            headers: headers.into_iter().collect(),
            body: spec.body.clone().unwrap_or_default(),
            timeout: spec.timeout.0,
        }
    }
}

/// A host that the route matches.
fn host_of(route: &RouteSpec) -> String {
    match route.all_hosts().next() {
        None => "localhost".to_owned(),
        Some(host) => match host.strip_prefix("*.") {
            Some(suffix) => format!("drill.{suffix}"),
            None => host.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synthetic_request_is_matched_by_its_route_and_marked() {
        let json = r#"{"name":"chat","host":"*.example.com","headers":{"x-team":"a"},"split":{"blue":1},
            "drill":[{"path":"/x","headers":{"accept":"text/plain"}}]}"#;
        let route: RouteSpec = serde_json::from_str(json).unwrap();
        let release = "blue".parse().unwrap();
        let request = SyntheticRequest::new(&route, &route.drill[0], "1a", Some(&release));
        let value = |name: &str| {
            let mut fields = request.headers.iter();
            fields
                .find(|(field, _)| field == name)
                .map(|(_, value)| &**value)
        };
        assert_eq!(value("host"), Some("drill.example.com"));
        assert_eq!(value("x-team"), Some("a"));
        assert_eq!(value("accept"), Some("text/plain"));
        assert_eq!(value("switchback-drill"), Some("1a"));
        assert_eq!(value("x-switchback-release"), Some("blue"));
    }
}
