//! Protects the admin API against web pages: a browser on the operator's machine can reach a loopback address, and a
//! page in it must not be able to use that.
//!
//! There are two attacks. A page whose own name was made to resolve to our address (DNS rebinding) is detected by its
//! `Host`. A cross-site request is detected by `Origin` or `Sec-Fetch-Site`, which tools do not send. Only the page of
//! the dashboard itself may be opened by a link elsewhere.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::error::ApiError;
use crate::{config::Admin, net::Hosts};

/// Field in which a browser says of what site a request comes.
const SITE: &str = "sec-fetch-site";

/// The pages that may use this listener: its own.
pub(super) struct OwnPages {
    hosts: Hosts,
    is_tls: bool,
}

impl OwnPages {
    /// The pages of the admin API.
    pub(super) fn new(bound: SocketAddr, settings: &Admin) -> Self {
        Self {
            hosts: Hosts::new(bound, &settings.hosts),
            is_tls: settings.tls.is_some(),
        }
    }

    /// Those of a listener that speaks plain HTTP.
    pub(super) fn without_tls(bound: SocketAddr, names: &[String]) -> Self {
        Self {
            hosts: Hosts::new(bound, names),
            is_tls: false,
        }
    }

    fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let host = named(uri, headers)?;
        if !self.hosts.is_own(host.host()) {
            return Err(ApiError::new(
                StatusCode::MISDIRECTED_REQUEST,
                "unknown-host",
                "unknown host name",
            )
            .detail(format!("`{}` is not a name of the admin API", host.host()))
            .hint("use an address or `localhost`, or add the name to `admin.hosts`"));
        }
        if let Some(origin) = headers.get(header::ORIGIN) {
            let same = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.split_once("://"));
            // A plain listener may be behind one that speaks TLS.
            let is_own = |(scheme, origin): (&str, &str)| {
                (scheme == "https" || !self.is_tls) && origin.eq_ignore_ascii_case(host.as_str())
            };
            if !same.is_some_and(is_own) {
                return Err(cross_site("cross-origin request"));
            }
        }
        let site = headers.get(SITE).map(HeaderValue::as_bytes);
        let is_other = site.is_some_and(|site| site != b"same-origin" && site != b"none");
        if is_other && !(method == Method::GET && uri.path() == "/" && opens_a_page(headers)) {
            return Err(cross_site("cross-site request"));
        }
        Ok(())
    }
}

/// The single authority of the request.
fn named(uri: &Uri, headers: &HeaderMap) -> Result<Authority, ApiError> {
    let mut fields = headers.get_all(header::HOST).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Err(ApiError::malformed("the request needs exactly one `Host`"));
    };
    let host: Authority = field
        .to_str()
        .ok()
        .and_then(|host| host.parse().ok())
        .ok_or_else(|| ApiError::malformed("`Host` is not a valid host"))?;
    if uri.authority().is_some_and(|target| *target != host) {
        return Err(ApiError::malformed(
            "`Host` differs from the request target",
        ));
    }
    Ok(host)
}

/// True if a browser opens this address as a page of its own, as from a link.
fn opens_a_page(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &[u8]| headers.get(name).is_some_and(|found| found == value);
    is("sec-fetch-mode", b"navigate") && is("sec-fetch-dest", b"document")
}

/// True if a browser says of what page a request comes. The guard has refused other pages than ours.
pub(super) fn comes_from_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key(SITE)
}

pub(super) fn cross_site(detail: &str) -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "cross-site",
        "requests from web pages are not allowed",
    )
    .detail(detail)
}

/// Rejects requests that a foreign web page may have sent.
pub(super) async fn guard(
    State(own): State<Arc<OwnPages>>,
    request: Request,
    next: Next,
) -> Response {
    match own.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn status(fields: &[(&'static str, &'static str)]) -> u16 {
        status_of(&Method::GET, "/v1/status", fields)
    }

    fn status_of(
        method: &Method,
        path: &'static str,
        fields: &[(&'static str, &'static str)],
    ) -> u16 {
        status_over(false, method, path, fields)
    }

    fn status_over(
        is_tls: bool,
        method: &Method,
        path: &'static str,
        fields: &[(&'static str, &'static str)],
    ) -> u16 {
        let bound = "192.0.2.7:9900".parse().unwrap();
        let own = OwnPages {
            is_tls,
            ..OwnPages::without_tls(bound, &["Switch.Internal".into()])
        };
        let headers = fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        own.check(method, &Uri::from_static(path), &headers)
            .map_or_else(|refusal| refusal.document.status, |()| 200)
    }

    #[test]
    fn only_our_own_names_are_answered() {
        for host in [
            "localhost",
            "localhost:9900",
            "LOCALHOST:1",
            "127.0.0.1:9900",
            "127.3.2.1",
            "[::1]:9900",
            "192.0.2.7:9900",
            "switch.internal:443",
            "switch.internal.",
        ] {
            assert_eq!(status(&[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "192.0.2.8",
            "switch.internal.evil",
        ] {
            assert_eq!(status(&[("host", host)]), 421, "{host}");
        }
        assert_eq!(status(&[]), 400);
        assert_eq!(status(&[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(status(&[("host", "a b")]), 400);
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let host = ("host", "localhost:9900");
        assert_eq!(status(&[host, ("origin", "http://localhost:9900")]), 200);
        assert_eq!(status(&[host, ("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(status(&[host, ("sec-fetch-site", "none")]), 200);
        for field in [
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:3000"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(status(&[host, field]), 403, "{field:?}");
        }
    }

    #[test]
    fn over_tls_a_page_without_it_is_another_one() {
        let status = |is_tls, origin| {
            let fields = [("host", "localhost:9900"), ("origin", origin)];
            status_over(is_tls, &Method::POST, "/v1/rollback", &fields)
        };
        assert_eq!(status(true, "https://localhost:9900"), 200);
        assert_eq!(status(true, "http://localhost:9900"), 403);
        assert_eq!(status(false, "https://localhost:9900"), 200);
    }

    #[test]
    fn a_link_elsewhere_opens_the_dashboard_and_nothing_else() {
        let linked = |dest| {
            [
                ("host", "localhost:9900"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", dest),
            ]
        };
        let (page, frame) = (linked("document"), linked("iframe"));
        assert_eq!(status_of(&Method::GET, "/", &page), 200);
        assert_eq!(status_of(&Method::GET, "/", &frame), 403);
        assert_eq!(status_of(&Method::POST, "/", &page), 403);
        assert_eq!(status_of(&Method::GET, "/v1/status", &page), 403);
    }
}
