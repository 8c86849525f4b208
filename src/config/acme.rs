//! Certificates of a listener that an authority issues over ACME.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{HookUrl, Problem};

/// Most domains of one listener.
const MOST_DOMAINS: usize = 1_000;
/// Longest domain, of which its certificate's file has the name.
const LONGEST_DOMAIN: usize = 250;
/// Longest name of a profile, and of a contact.
const LONGEST_NAME: usize = 256;

/// Certificates from an authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// Domains, each of which has a certificate of its own; the first one is for unknown names.
    pub domains: Vec<String>,
    /// Addresses where the authority reaches the operator: `mailto:` and an address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contact: Vec<String>,
    /// Binding of the account to one that its owner has at the authority, where the authority wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eab: Option<AccountBinding>,
    /// URL of the authority's directory. To name it is to agree to its terms of service.
    pub directory: String,
    /// PEM file of the authorities of the directory itself; those of the machine when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Folder of account and certificates; `acme` in the folder of the history when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Challenge by which the authority validates the domains.
    #[serde(default, skip_serializing_if = "AcmeChallenge::is_default")]
    pub challenge: AcmeChallenge,
    /// Profile of the certificates, of those that the directory offers; its own default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// Binding of an account to one that its owner has at the authority already (external account binding, RFC 8555, section
/// 7.3.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountBinding {
    /// Name that the authority gave to the key.
    pub kid: String,
    /// File with the key, in base64url.
    pub key_file: PathBuf,
}

/// Challenge by which an authority validates a domain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AcmeChallenge {
    /// A request over plain HTTP to port 80 (RFC 8555, section 8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// A handshake on port 443 (RFC 8737). The default: the listener that needs the certificate answers it itself.
    #[default]
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

// === impl AcmeChallenge ===

impl AcmeChallenge {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Acme ===

impl Acme {
    /// Visits every file path with its configuration path.
    pub(super) fn each_path(&mut self, at: &str, visit: &mut impl FnMut(String, &mut PathBuf)) {
        if let Some(ca) = &mut self.ca {
            visit(format!("{at}.ca"), ca);
        }
        if let Some(eab) = &mut self.eab {
            visit(format!("{at}.eab.key_file"), &mut eab.key_file);
        }
        if let Some(path) = &mut self.path {
            visit(format!("{at}.path"), path);
        }
    }

    /// Problems of the settings by themselves.
    pub(super) fn check(&self, at: &str, found: &mut Vec<Problem>) {
        if self.domains.is_empty() || self.domains.len() > MOST_DOMAINS {
            let message = format!(
                "{} domains are not from 1 to {MOST_DOMAINS}",
                self.domains.len()
            );
            let problem = Problem::new(format!("{at}.domains"), message);
            found.push(problem.hint("write `domains = [\"agents.example.com\"]`"));
        }
        for (place, domain) in self.domains.iter().enumerate() {
            let at = format!("{at}.domains.{place}");
            let problem = self.domains[..place]
                .contains(domain)
                .then(|| Problem::new(&*at, format!("`{domain}` is listed twice")));
            found.extend(problem.or_else(|| wrong_domain(&at, domain)));
        }
        for (place, contact) in self.contact.iter().enumerate() {
            if !contact.starts_with("mailto:") || !is_plain(contact) {
                let message = format!("`{contact}` is no contact that authorities take");
                let problem = Problem::new(format!("{at}.contact.{place}"), message);
                found.push(
                    problem.hint("write `mailto:` before an address: `\"mailto:ops@example.com\"`"),
                );
            }
        }
        let is_url =
            self.directory.starts_with("https://") && self.directory.parse::<HookUrl>().is_ok();
        if !is_url {
            // It may hold a password.
            let message = "it is no URL with https, without a user";
            let problem = Problem::new(format!("{at}.directory"), message);
            found.push(problem.hint(
                "that of Let's Encrypt is `https://acme-v02.api.letsencrypt.org/directory`, and for tests \
                 `https://acme-staging-v02.api.letsencrypt.org/directory`",
            ));
        }
        if self.eab.as_ref().is_some_and(|eab| !is_plain(&eab.kid)) {
            let problem = Problem::new(format!("{at}.eab.kid"), "it is not a name of a key");
            found.push(problem.hint("the authority shows `kid` beside the key"));
        }
        if self
            .profile
            .as_ref()
            .is_some_and(|profile| !is_plain(profile))
        {
            let problem = Problem::new(format!("{at}.profile"), "it is not a name of a profile");
            found.push(
                problem.hint("the directory lists its profiles; leave it out for the default"),
            );
        }
    }
}

/// Problem of a domain that no challenge of ours can validate, or that is no name.
fn wrong_domain(at: &str, domain: &str) -> Option<Problem> {
    if domain.starts_with("*.") {
        let problem = Problem::new(
            at,
            format!("`{domain}` has a wildcard, which authorities validate by DNS alone"),
        );
        return Some(
            problem.hint("list the names, or give the listener `certificates` from elsewhere"),
        );
    }
    let is_label = |label: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = domain
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if domain.len() <= LONGEST_DOMAIN && domain.split('.').all(is_label) && !is_number {
        return None;
    }
    let problem = Problem::new(at, format!("`{domain}` is not a domain"));
    Some(
        problem.hint(
            "write it in lower case, without scheme and port; international names as `xn--…`",
        ),
    )
}

fn is_plain(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_authority_can_validate_is_a_domain() {
        let is_good = |domain: &str| wrong_domain("x", domain).is_none();
        for good in [
            "a.example",
            "localhost",
            "xn--bcher-kva.example",
            "1.a-b.example",
        ] {
            assert!(is_good(good), "{good}");
        }
        let long = ["a".repeat(64), "a.".repeat(130) + "a"];
        for bad in [
            "*.a.example",
            "10.0.0.1",
            "A.example",
            "a..example",
            "a.example.",
            "",
            "-a.example",
            "../x",
            "a/b",
            "bücher.example",
        ]
        .into_iter()
        .chain(long.iter().map(String::as_str))
        {
            assert!(!is_good(bad), "{bad}");
        }
    }
}
