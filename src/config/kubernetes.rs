//! Settings of the watch of Services in a Kubernetes cluster.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{HookUrl, Problem, Scheme};

/// Folder that a pod has for its service account.
pub(super) const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// API server of a cluster, whose `EndpointSlice` objects say where the pods of a Service are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kubernetes {
    /// URL of the API server; when absent, that of `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<HookUrl>,
    /// File with the bearer token. It is read for each request, since the cluster replaces it.
    pub token_file: PathBuf,
    /// Authorities of the API server's certificate. The file is read for each connection.
    pub ca: PathBuf,
    /// Domain of the cluster's Services.
    pub cluster_domain: String,
}

impl Default for Kubernetes {
    fn default() -> Self {
        let file = |name| PathBuf::from(SERVICE_ACCOUNT).join(name);
        Self {
            url: None,
            token_file: file("token"),
            ca: file("ca.crt"),
            cluster_domain: "cluster.local".to_owned(),
        }
    }
}

impl Kubernetes {
    /// Visits every file path with its configuration path.
    pub(super) fn each_path(&mut self, visit: &mut impl FnMut(String, &mut PathBuf)) {
        visit(
            "discovery.kubernetes.token_file".into(),
            &mut self.token_file,
        );
        visit("discovery.kubernetes.ca".into(), &mut self.ca);
    }

    /// Checks what can be said outside of a cluster: the files of a pod are not there.
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        if let Some(url) = &self.url {
            let origin = url.origin();
            if origin.scheme() == Scheme::Http && !origin.is_loopback() {
                let message = "the token would go over the network without TLS";
                let problem = Problem::new("discovery.kubernetes.url", message);
                found.push(problem.hint("write `https://`; `http://` is for this machine only"));
            }
        }
        let within =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        let domain = self.cluster_domain.as_bytes();
        let is_domain = !domain.is_empty()
            && domain.len() <= 200
            && domain.iter().all(|byte| within(*byte))
            && domain.first() != Some(&b'.')
            && domain.last() != Some(&b'.');
        if !is_domain {
            let message = format!("`{}` is not a domain", self.cluster_domain);
            let problem = Problem::new("discovery.kubernetes.cluster_domain", message);
            found.push(problem.hint("such as `cluster.local`, without a dot around it"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let settings: Kubernetes = toml::from_str(text).unwrap();
        settings.check(&mut found);
        found.into_iter().map(|one| one.path).collect()
    }

    #[test]
    fn the_token_goes_over_tls_or_stays_on_the_machine() {
        for good in [
            "",
            "url = 'https://10.96.0.1'",
            "url = 'http://127.0.0.1:8001'",
            "url = 'http://[::1]:8001'",
            "url = 'http://localhost:8001'",
        ] {
            assert!(problems(good).is_empty(), "{good}");
        }
        assert_eq!(
            problems("url = 'http://10.96.0.1'"),
            ["discovery.kubernetes.url"]
        );
    }

    #[test]
    fn the_domain_of_the_cluster_is_one() {
        for bad in [
            "",
            ".cluster.local",
            "cluster.local.",
            "Cluster.local",
            "a b",
        ] {
            let found = problems(&format!("cluster_domain = {bad:?}"));
            assert_eq!(found, ["discovery.kubernetes.cluster_domain"], "{bad}");
        }
    }
}
