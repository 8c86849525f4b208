//! The running static settings, and the report of a reload.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ImportReport;

/// `GET /v1/settings`: a digest for each top-level key of the static settings, as 16 hexadecimal digits.
///
/// `switchback apply` compares them with those of its file, to name what a restart would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingsReport {
    /// Digests by key: `listeners`, `limits`, ….
    pub settings: BTreeMap<String, String>,
}

/// `POST /v1/reload`: report of a reload of the configuration file and the certificates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReloadReport {
    /// Import of the file's table.
    pub import: ImportReport,
    /// Static settings that differ from the running ones and need a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restart: Vec<String>,
    /// Certificates that failed to load, with the reason; the earlier ones stay in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// Reason why the access log could not be reopened; the earlier file stays in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<String>,
}
