//! Responses that a route gives itself: a redirect, a fixed response, the page of a maintenance.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HumanDuration, Scheme};

/// Longest body of a response of a route, in bytes: it is in every revision of the table.
pub const LONGEST_ANSWER: usize = 16 * 1024;

/// Status of a redirect by default. Browsers keep a permanent redirect for ever, and no rollback takes it back from them;
/// and of the temporary ones only this one keeps the method of the request.
const TEMPORARY_REDIRECT: u16 = 307;
/// Status of a fixed response by default.
const OK: u16 = 200;

/// Redirect of a route: the URL of the request, with some parts replaced. A request whose URL has these parts already is
/// served by the split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedirectSpec {
    /// Scheme: `http` or `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// Host, without a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 253)]
    pub host: Option<String>,
    /// Port; by default that of the request, or the scheme's own if the scheme or the host is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub port: Option<u16>,
    /// The whole path, instead of `prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^/", max_length = 1024)]
    pub path: Option<String>,
    /// Prefix in place of the route's `path_prefix`; the rest of the path stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^/", max_length = 1024)]
    pub prefix: Option<String>,
    /// Status: 301, 302, 307 or 308; 307 by default, which clients do not keep.
    #[serde(
        default = "temporary_redirect",
        skip_serializing_if = "is_temporary_redirect"
    )]
    #[schema(schema_with = super::schema::redirect_status)]
    pub status: u16,
}

/// Fixed response of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RespondSpec {
    /// Status from 200 to 599 that is no redirect; 200 by default.
    #[serde(default = "ok", skip_serializing_if = "is_ok")]
    #[schema(minimum = 200, maximum = 599, default = 200)]
    pub status: u16,
    /// Body, at most 16 KiB; empty by default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(max_length = 16384)]
    pub body: String,
    /// Type of the body; `text/plain; charset=utf-8` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub content_type: Option<String>,
    /// Time after which clients may come again, for 429 and 503; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<HumanDuration>,
}

/// Maintenance of a route: while it is on, every request gets a 503, except one that names its release by an override.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceSpec {
    /// True while the route is in maintenance.
    pub on: bool,
    /// Time after which clients may come again; 60 s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<HumanDuration>,
    /// Page, at most 16 KiB; our own error by default. Agents, gRPC clients and, where it is HTML, clients that do not ask
    /// for HTML get our own error, in the form of their protocol.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(max_length = 16384)]
    pub body: String,
    /// Type of the page; `text/html; charset=utf-8` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub content_type: Option<String>,
}

const fn temporary_redirect() -> u16 {
    TEMPORARY_REDIRECT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
const fn is_temporary_redirect(status: &u16) -> bool {
    *status == TEMPORARY_REDIRECT
}

const fn ok() -> u16 {
    OK
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
const fn is_ok(status: &u16) -> bool {
    *status == OK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_temporary_unless_it_says_otherwise() {
        let redirect: RedirectSpec = serde_json::from_str(r#"{"scheme":"https"}"#).unwrap();
        assert_eq!(
            (redirect.scheme, redirect.status),
            (Some(Scheme::Https), 307)
        );
        let text = serde_json::to_string(&redirect).unwrap();
        assert_eq!(text, r#"{"scheme":"https"}"#);
        assert!(serde_json::from_str::<RedirectSpec>(r#"{"scheme":"ftp"}"#).is_err());
    }

    #[test]
    fn a_maintenance_says_whether_it_is_on() {
        let missing = serde_json::from_str::<MaintenanceSpec>("{}").unwrap_err();
        assert!(missing.to_string().contains("missing field `on`"));
        let spec: MaintenanceSpec = serde_json::from_str(r#"{"on":false}"#).unwrap();
        assert_eq!(spec, MaintenanceSpec::default());
    }
}
