//! Settings of a fleet: several proxies that share one table by etcd.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    FleetPeerSettings,
    server_list::{ServerList, check_client_certificate},
};
use crate::model::{HookUrl, HumanDuration, Problem};

/// Shortest and longest lease.
const LEASE: (HumanDuration, HumanDuration) =
    (HumanDuration::seconds(5), HumanDuration::seconds(3600));
/// Largest number of members.
const MOST_MEMBERS: usize = 9;
/// Longest name of a node, and longest prefix.
const LONGEST_NAME: usize = 64;

/// A fleet of proxies that share one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetSettings {
    /// URLs of the members of the etcd cluster.
    pub etcd: Vec<HookUrl>,
    /// First part of all keys in etcd: fleets with other prefixes have nothing in common.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Name of this proxy, which no other of the fleet has; the host name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Time after which a node that says nothing is forgotten.
    #[serde(default = "default_lease")]
    pub lease: HumanDuration,
    /// Authorities of the members' certificates; those of the system when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Name of a user of etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// File with the user's password, with only white space around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The other nodes, to which rollbacks are offered while etcd is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<FleetPeerSettings>,
}

fn default_prefix() -> String {
    "switchback".to_owned()
}

const fn default_lease() -> HumanDuration {
    HumanDuration::seconds(15)
}

impl FleetSettings {
    /// Visits every file path with its configuration path.
    pub(super) fn each_path(&mut self, visit: &mut impl FnMut(String, &mut PathBuf)) {
        let files = [
            ("fleet.ca", &mut self.ca),
            ("fleet.cert", &mut self.cert),
            ("fleet.key", &mut self.key),
            ("fleet.password_file", &mut self.password_file),
        ];
        for (at, file) in files {
            if let Some(file) = file {
                visit(at.into(), file);
            }
        }
        if let Some(peers) = &mut self.peers {
            peers.each_path(visit);
        }
    }

    /// Checks what can be said without reaching etcd.
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        let members = ServerList {
            at: "fleet.etcd",
            urls: &self.etcd,
            most: MOST_MEMBERS,
            word: "member",
            example: "etcd = [\"http://127.0.0.1:2379\"]",
            secret: self.user.as_ref().map(|_| "password"),
        };
        members.check(found);
        if let Some(peers) = &self.peers {
            peers.check(found);
        }
        if !is_name(&self.prefix) {
            let message = format!("`{}` is not a prefix", self.prefix);
            let problem = Problem::new("fleet.prefix", message);
            found.push(problem.hint("write letters, digits and `-._`, at most 64"));
        }
        if self.node.as_deref().is_some_and(|node| !is_name(node)) {
            let message = "it is not the name of a node";
            let problem = Problem::new("fleet.node", message);
            found.push(problem.hint("write letters, digits and `-._`, at most 64"));
        }
        if !(LEASE.0..=LEASE.1).contains(&self.lease) {
            let message = format!("{} is not from {} to {}", self.lease, LEASE.0, LEASE.1);
            found.push(Problem::new("fleet.lease", message));
        }
        let (cert, key) = (self.cert.as_ref(), self.key.as_ref());
        check_client_certificate("fleet", cert, key, found);
        if self.user.is_some() != self.password_file.is_some() {
            let at = if self.user.is_some() {
                "user"
            } else {
                "password_file"
            };
            let problem = Problem::new(format!("fleet.{at}"), "a user needs a password");
            found.push(
                problem.hint("give both `user` and `password_file`, or a client certificate"),
            );
        }
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let settings: FleetSettings = toml::from_str(text).unwrap();
        settings.check(&mut found);
        found.into_iter().map(|one| one.path).collect()
    }

    #[test]
    fn each_wrong_setting_of_a_fleet_is_named() {
        let etcd = "etcd = ['http://10.0.0.1:2379']\n";
        let problem_of = |text: &str| problems(&format!("{etcd}{text}"));
        assert_eq!(
            problem_of("node = 'proxy-1'\nprefix = 'a.b'\nlease = '1m'"),
            [""; 0]
        );
        assert_eq!(problems("etcd = []"), ["fleet.etcd"]);
        let twice = "etcd = ['http://b:2379', 'http://a:2379', 'http://b:2379/']";
        assert_eq!(problems(twice), ["fleet.etcd.2"]);
        for path in ["/v3", "/?a=b"] {
            let text = format!("etcd = ['http://a:2379{path}']");
            assert_eq!(problems(&text), ["fleet.etcd.0"]);
        }
        for (text, at) in [
            ("node = 'a b'", "fleet.node"),
            ("prefix = 'a/b'", "fleet.prefix"),
            ("lease = '1s'", "fleet.lease"),
            ("cert = 'c.pem'", "fleet.cert"),
            ("key = 'k.pem'", "fleet.key"),
            ("password_file = 'p'", "fleet.password_file"),
        ] {
            assert_eq!(problem_of(text), [at], "{text}");
        }
        let secret = "user = 'a'\npassword_file = 'p'";
        assert_eq!(problem_of(secret), ["fleet.etcd.0"]);
        let here = format!("etcd = ['http://127.0.0.1:2379', 'https://b:2379']\n{secret}");
        assert_eq!(problems(&here), [""; 0]);
    }
}
