//! Spec of the cross-origin requests of a route: web pages whose scripts may read its answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::HumanDuration;

/// Cross-origin requests of a route (CORS). Preflights are answered by the proxy, and it alone sets the fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorsSpec {
    /// Origins that may read answers: `https://app.example.com`, `https://*.example.com` for all names below one, or `*`
    /// for all.
    #[schema(min_items = 1, max_items = 64)]
    pub origins: Vec<String>,
    /// Methods that scripts may use.
    #[serde(default = "methods")]
    #[schema(max_items = 64)]
    pub methods: Vec<String>,
    /// Request fields that scripts may set, beside those that they always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64)]
    pub headers: Vec<String>,
    /// Response fields that scripts may read, beside those that they always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64)]
    pub expose: Vec<String>,
    /// True if requests may carry cookies and other credentials of the browser. Not with `*`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub credentials: bool,
    /// Time for which a browser remembers the answer to a preflight; browsers have shorter limits of their own.
    #[serde(default = "max_age")]
    pub max_age: HumanDuration,
}

fn methods() -> Vec<String> {
    ["GET", "HEAD", "POST"].map(str::to_owned).to_vec()
}

const fn max_age() -> HumanDuration {
    HumanDuration::seconds(600)
}
