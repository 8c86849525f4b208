//! The content of the store of a fleet of proxies for the certificates of one directory, and the step of a node that read it.
//! Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::renewal::Lifetime;
use crate::{
    config::AcmeChallenge,
    shared_table::{Document, Documents},
};

/// Longest value that is read.
pub(super) const LONGEST: usize = 16 << 10;
/// Longest answer to a question of an authority.
const LONGEST_ANSWER: usize = 512;

/// Names of the documents in the index.
pub(super) const LOCK: &str = "lock";
pub(super) const ACCOUNT: &str = "account";
pub(super) const CERTIFICATE: &str = "certificate";
pub(super) const CHALLENGE: &str = "challenge";

/// The certificate of a domain, apart from its key: enough to tell which of two is newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateFacts {
    pub(super) lifetime: Lifetime,
    /// Digest of the certificate itself, in hexadecimal.
    pub(super) digest: String,
}

/// Note of the certificate of a domain that the store has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CertificateMark {
    /// Digest of the certificate itself, in hexadecimal.
    pub(super) digest: String,
    pub(super) not_before: u64,
    pub(super) not_after: u64,
    /// Name of the key that seals its key; absent if it is not sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sealed_by: Option<String>,
    /// The node that wrote it.
    pub(super) node: String,
}

/// Question of an authority about a domain, with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SharedChallenge {
    pub(super) domain: String,
    pub(super) challenge: AcmeChallenge,
    pub(super) token: String,
    pub(super) answer: String,
}

/// The right to order, and the node that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SharedLock {
    pub(super) node: String,
    pub(super) is_mine: bool,
    pub(super) version: u64,
}

/// Content of the store.
#[derive(Debug, Default)]
pub(super) struct SharedView {
    /// Version of the store at which it was read.
    pub(super) version: u64,
    pub(super) lock: Option<SharedLock>,
    pub(super) account: Option<Document>,
    /// By domain, with the versions of the notes.
    pub(super) certificates: BTreeMap<String, (CertificateMark, u64)>,
    /// Those of other nodes.
    pub(super) challenges: Vec<SharedChallenge>,
}

/// Step of a node about the certificate of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exchange {
    /// It takes that of the store.
    Take,
    /// It gives its own to the store.
    Give,
    Nothing,
}

// === impl CertificateFacts ===

impl CertificateFacts {
    fn age(&self) -> (u64, u64, &str) {
        let Lifetime {
            not_before,
            not_after,
        } = self.lifetime;
        (not_before, not_after, &self.digest)
    }
}

// === impl CertificateMark ===

impl CertificateMark {
    fn age(&self) -> (u64, u64, &str) {
        (self.not_before, self.not_after, &self.digest)
    }
}

// === impl SharedView ===

impl SharedView {
    /// Reads the documents of an index. What has another form is as if it were not there.
    pub(super) fn read(documents: Documents, index: &str) -> Self {
        let mut view = Self {
            version: documents.version,
            ..Self::default()
        };
        for document in documents.all {
            let name = document.name.strip_prefix(index);
            let name = name.and_then(|name| name.strip_prefix('/'));
            let name = name.map(str::to_owned).unwrap_or_default();
            if document.value.len() <= LONGEST {
                view.add(&name, document);
            }
        }
        view
    }

    fn add(&mut self, name: &str, document: Document) {
        match name.split_once('/').unwrap_or((name, "")) {
            (LOCK, "") => {
                self.lock = Some(SharedLock {
                    node: String::from_utf8_lossy(&document.value).into_owned(),
                    is_mine: document.is_mine,
                    version: document.version,
                });
            }
            (ACCOUNT, "") => self.account = Some(document),
            (CERTIFICATE, domain) => {
                if let Some(mark) = parsed(&document.value) {
                    let domain = domain.to_owned();
                    self.certificates.insert(domain, (mark, document.version));
                }
            }
            (CHALLENGE, domain) if !document.is_mine => {
                let challenge: Option<SharedChallenge> = parsed(&document.value);
                let is_plain = |one: &SharedChallenge| {
                    one.domain == domain && one.answer.len() <= LONGEST_ANSWER
                };
                self.challenges.extend(challenge.filter(is_plain));
            }
            _ => {}
        }
    }

    /// Step of a node about the certificate of a domain, of which it has `own`. The newer one wins; the node that orders
    /// gives, and sees to it that keys are sealed as the configuration says.
    pub(super) fn exchange(
        &self,
        domain: &str,
        own: Option<&CertificateFacts>,
        (orders, sealed_by): (bool, Option<&str>),
    ) -> Exchange {
        let give = if orders {
            Exchange::Give
        } else {
            Exchange::Nothing
        };
        let mark = self.certificates.get(domain).map(|(mark, _)| mark);
        match (own, mark) {
            (None, None) => Exchange::Nothing,
            (None, Some(_)) => Exchange::Take,
            (Some(own), Some(mark)) if own.digest == mark.digest => {
                if mark.sealed_by.as_deref() == sealed_by {
                    Exchange::Nothing
                } else {
                    give
                }
            }
            (Some(own), Some(mark)) if mark.age() > own.age() => Exchange::Take,
            (Some(_), _) => give,
        }
    }
}

fn parsed<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "acme/acme.example-dir/index";

    fn document(name: &str, value: &str, is_mine: bool) -> Document {
        Document {
            name: format!("{INDEX}/{name}"),
            value: value.as_bytes().to_vec(),
            version: 7,
            lifetime: if is_mine {
                crate::shared_table::Lifetime::Node
            } else {
                crate::shared_table::Lifetime::Kept
            },
            is_mine,
        }
    }

    fn view(all: Vec<Document>) -> SharedView {
        SharedView::read(Documents { version: 9, all }, INDEX)
    }

    fn mark(not_before: u64, digest: &str, sealed_by: Option<&str>) -> String {
        let mark = CertificateMark {
            digest: digest.to_owned(),
            not_before,
            not_after: not_before + 90,
            sealed_by: sealed_by.map(str::to_owned),
            node: "a".to_owned(),
        };
        serde_json::to_string(&mark).unwrap()
    }

    fn own(not_before: u64, digest: &str) -> CertificateFacts {
        CertificateFacts {
            lifetime: Lifetime {
                not_before,
                not_after: not_before + 90,
            },
            digest: digest.to_owned(),
        }
    }

    #[test]
    fn the_newer_certificate_wins_and_the_node_that_orders_gives() {
        let found = view(vec![document(
            "certificate/a.test",
            &mark(100, "m", None),
            false,
        )]);
        let of = |domain: &str, own: Option<&CertificateFacts>, orders| {
            found.exchange(domain, own, (orders, None))
        };
        for orders in [false, true] {
            assert_eq!(of("a.test", None, orders), Exchange::Take);
            assert_eq!(of("b.test", None, orders), Exchange::Nothing);
            assert_eq!(of("a.test", Some(&own(99, "o")), orders), Exchange::Take);
            assert_eq!(
                of("a.test", Some(&own(100, "m")), orders),
                Exchange::Nothing
            );
            // Two of one second: all nodes agree on one of them.
            assert_eq!(of("a.test", Some(&own(100, "a")), orders), Exchange::Take);
        }
        for newer in [own(100, "z"), own(101, "a")] {
            assert_eq!(of("a.test", Some(&newer), true), Exchange::Give);
            assert_eq!(of("a.test", Some(&newer), false), Exchange::Nothing);
        }
        assert_eq!(of("b.test", Some(&own(1, "o")), true), Exchange::Give);
        assert_eq!(of("b.test", Some(&own(1, "o")), false), Exchange::Nothing);
    }

    #[test]
    fn a_key_that_is_sealed_otherwise_than_configured_is_given_anew_by_the_node_that_orders() {
        let sealed = |by| {
            view(vec![document(
                "certificate/a.test",
                &mark(1, "m", by),
                false,
            )])
        };
        let own = own(1, "m");
        for (was, is) in [(None, Some("k")), (Some("k"), None), (Some("j"), Some("k"))] {
            let found = sealed(was);
            assert_eq!(
                found.exchange("a.test", Some(&own), (true, is)),
                Exchange::Give
            );
            assert_eq!(
                found.exchange("a.test", Some(&own), (false, is)),
                Exchange::Nothing
            );
        }
        assert_eq!(
            sealed(Some("k")).exchange("a.test", Some(&own), (true, Some("k"))),
            Exchange::Nothing
        );
    }

    #[test]
    fn what_has_another_form_is_as_if_it_were_not_there() {
        let challenge = |domain: &str, answer: &str| {
            format!(
                r#"{{"domain":"{domain}","challenge":"http-01","token":"t","answer":"{answer}"}}"#
            )
        };
        let long = "x".repeat(LONGEST_ANSWER + 1);
        let found = view(vec![
            document("lock", "a", true),
            document("certificate/a.test", "?", false),
            document("certificate/b.test", &"x".repeat(LONGEST + 1), false),
            document("challenge/a.test", &challenge("a.test", "t.x"), false),
            document("challenge/b.test", &challenge("a.test", "t.x"), false),
            document("challenge/c.test", &challenge("c.test", "t.x"), true),
            document("challenge/d.test", &challenge("d.test", &long), false),
            document("later", "{}", false),
        ]);
        assert!(found.certificates.is_empty());
        let domains: Vec<_> = found.challenges.iter().map(|one| &*one.domain).collect();
        assert_eq!(domains, ["a.test"], "its own are answered already");
        let lock = found.lock.unwrap();
        assert_eq!((&*lock.node, lock.is_mine, lock.version), ("a", true, 7));
        assert_eq!(found.version, 9);
    }
}
