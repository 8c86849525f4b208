//! Settings of a fleet: the other nodes, to which a rollback is offered while etcd is away.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::server_list::{ServerList, check_client_certificate};
use crate::model::{HookUrl, Problem};

/// Largest number of nodes.
const MOST_PEERS: usize = 100;

/// The other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetPeerSettings {
    /// URLs of their admin APIs. That of this node may be among them, so that all have the same list.
    pub urls: Vec<HookUrl>,
    /// File with the token of an operator there, with only white space around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Authorities of their certificates; those of the system when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

impl FleetPeerSettings {
    /// Visits every file path with its configuration path.
    pub(super) fn each_path(&mut self, visit: &mut impl FnMut(String, &mut PathBuf)) {
        let files = [
            ("fleet.peers.token_file", &mut self.token_file),
            ("fleet.peers.ca", &mut self.ca),
            ("fleet.peers.cert", &mut self.cert),
            ("fleet.peers.key", &mut self.key),
        ];
        for (at, file) in files {
            if let Some(file) = file {
                visit(at.into(), file);
            }
        }
    }

    /// Checks what can be said without reaching them.
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        let nodes = ServerList {
            at: "fleet.peers.urls",
            urls: &self.urls,
            most: MOST_PEERS,
            word: "node",
            example: "urls = [\"https://proxy-2:9900\"]",
            secret: self.token_file.as_ref().map(|_| "token"),
        };
        nodes.check(found);
        let (cert, key) = (self.cert.as_ref(), self.key.as_ref());
        check_client_certificate("fleet.peers", cert, key, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let settings: FleetPeerSettings = toml::from_str(text).unwrap();
        settings.check(&mut found);
        found.into_iter().map(|one| one.path).collect()
    }

    #[test]
    fn each_wrong_setting_of_the_other_nodes_is_named() {
        assert_eq!(problems("urls = ['http://10.0.0.1:9900']"), [""; 0]);
        assert_eq!(problems("urls = []"), ["fleet.peers.urls"]);
        let twice = "urls = ['https://b:9900', 'https://a:9900', 'https://b:9900/']";
        assert_eq!(problems(twice), ["fleet.peers.urls.2"]);
        assert_eq!(
            problems("urls = ['https://a:9900/v1']"),
            ["fleet.peers.urls.0"]
        );
        let open = "urls = ['http://127.0.0.1:1', 'http://a:9900']\ntoken_file = 't'";
        assert_eq!(problems(open), ["fleet.peers.urls.1"]);
        for name in ["cert", "key"] {
            let text = format!("urls = ['https://a:9900']\n{name} = 'c.pem'");
            assert_eq!(problems(&text), [format!("fleet.peers.{name}")]);
        }
    }
}
