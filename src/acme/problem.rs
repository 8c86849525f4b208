//! Failures of an order: the step, the words of the authority, and what an operator can do.

use std::{fmt, io};

use instant_acme::{Error, Problem};

/// Longest text of another party that is kept.
const LONGEST: usize = 500;
/// Step of registering an account.
pub(super) const ACCOUNT: &str = "account";
const ERRORS: &str = "urn:ietf:params:acme:error:";

/// Kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The directory does not know the account.
    AccountLost,
    /// The directory registers no account like this.
    AccountRefused,
    /// The directory has refused the marks against replay, several times in a row.
    BadNonce,
    /// The certificate is not usable for the domain.
    BadCertificate,
    /// The folder cannot be read or written.
    Folder,
    /// The authority could not validate the domain.
    NotValidated,
    /// A limit of the authority is reached.
    RateLimited,
    /// The directory refuses for another reason.
    Refused,
    /// The account of the fleet cannot be used.
    Sharing,
    /// The order took too long.
    TooLong,
    /// The directory cannot be reached, or answers with nonsense.
    Unreachable,
}

/// A failed order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrderFailure {
    pub(super) kind: FailureKind,
    step: &'static str,
    words: String,
    /// Seconds that the directory asked to wait.
    pub(super) asked: Option<u64>,
}

impl OrderFailure {
    pub(super) fn new(kind: FailureKind, step: &'static str, words: impl fmt::Display) -> Self {
        let words = words.to_string();
        let clean = words.chars().map(|c| if c.is_control() { ' ' } else { c });
        Self {
            kind,
            step,
            words: clean.take(LONGEST).collect(),
            asked: None,
        }
    }

    /// A failure of the folder.
    pub(super) fn of_folder(error: io::Error) -> Self {
        Self::new(FailureKind::Folder, "folder", error)
    }

    /// A failure of the account that a fleet has in common.
    pub(super) fn of_sharing(error: impl fmt::Display) -> Self {
        Self::new(FailureKind::Sharing, "account of the fleet", error)
    }

    /// The error of the library at a step, and the pause that the directory asked for with it.
    pub(super) fn of(step: &'static str, error: &Error, asked: Option<u64>) -> Self {
        let failure = match error {
            Error::Api(problem) => Self::of_problem(step, problem),
            Error::Json(_) => {
                let words = format!("the answer of the directory cannot be read: {error}");
                Self::new(FailureKind::Unreachable, step, words)
            }
            Error::Unsupported(_) => Self::new(FailureKind::Refused, step, error),
            error => Self::new(FailureKind::Unreachable, step, error),
        };
        Self { asked, ..failure }
    }

    /// A failure in the words of the authority.
    pub(super) fn of_problem(step: &'static str, problem: &Problem) -> Self {
        let name = problem.r#type.as_deref().unwrap_or_default();
        let name = name.strip_prefix(ERRORS).unwrap_or(name);
        let kind = match (name, problem.status) {
            ("accountDoesNotExist", _) => FailureKind::AccountLost,
            ("badNonce", _) => FailureKind::BadNonce,
            ("rateLimited", _) | (_, Some(429)) => FailureKind::RateLimited,
            ("externalAccountRequired", _) => FailureKind::AccountRefused,
            (_, Some(400..=403)) if step == ACCOUNT => FailureKind::AccountRefused,
            ("caa" | "connection" | "dns" | "incorrectResponse" | "tls" | "unauthorized", _) => {
                FailureKind::NotValidated
            }
            ("serverInternal", _) | (_, Some(500..)) => FailureKind::Unreachable,
            _ => FailureKind::Refused,
        };
        let detail = problem.detail.as_deref().unwrap_or("no reason is given");
        let mut words = format!("{detail} ({name})");
        for part in problem.subproblems.iter().take(3) {
            if let Some(detail) = &part.detail {
                words = format!("{words}; {detail}");
            }
        }
        Self::new(kind, step, words)
    }

    /// Advice for the operator.
    pub(super) const fn hint(&self) -> &'static str {
        match self.kind {
            FailureKind::AccountLost => {
                "the directory has lost the account; a new one is registered"
            }
            FailureKind::AccountRefused => {
                "look at `contact` and `eab` in `tls.acme`; an authority that wants `eab` gives its customers `kid` and the key"
            }
            FailureKind::BadCertificate => {
                "the old certificate stays in use; look at the directory"
            }
            FailureKind::Folder => "the folder must be writable by this user",
            FailureKind::NotValidated => {
                "the name must lead here: port 80 to a plain listener for http-01, port 443 to this listener for tls-alpn-01; then `switchback reload` tries at once"
            }
            FailureKind::RateLimited => "it is tried again when the directory allows it",
            FailureKind::Refused => {
                "look at the domains, the contact and the profile in `tls.acme`"
            }
            FailureKind::Sharing => {
                "look at `[fleet]`, and at `sessions.keys`, which all nodes need alike"
            }
            FailureKind::BadNonce | FailureKind::TooLong => {
                "it is tried again; look at the directory if it stays so"
            }
            FailureKind::Unreachable => {
                "look at `directory` and `ca` in `tls.acme`, and at the way from here to there"
            }
        }
    }
}

impl fmt::Display for OrderFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(json: &str) -> OrderFailure {
        let problem: Problem = serde_json::from_str(json).unwrap();
        OrderFailure::of("order", &Error::Api(problem), Some(9))
    }

    #[test]
    fn the_words_of_the_authority_are_kept_and_its_errors_have_kinds() {
        let limited = failure(
            r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many\ncertificates","status":429}"#,
        );
        assert_eq!(limited.kind, FailureKind::RateLimited);
        assert_eq!(limited.asked, Some(9));
        assert_eq!(
            limited.to_string(),
            "order: too many certificates (rateLimited)"
        );
        for (name, kind) in [
            ("accountDoesNotExist", FailureKind::AccountLost),
            ("externalAccountRequired", FailureKind::AccountRefused),
            ("connection", FailureKind::NotValidated),
            ("rejectedIdentifier", FailureKind::Refused),
            ("serverInternal", FailureKind::Unreachable),
        ] {
            let json = format!(r#"{{"type":"urn:ietf:params:acme:error:{name}"}}"#);
            assert_eq!(failure(&json).kind, kind, "{name}");
        }
    }

    #[test]
    fn a_refused_account_is_about_the_account_and_not_about_the_domain() {
        let problem =
            r#"{"type":"urn:ietf:params:acme:error:unauthorized","detail":"no","status":401}"#;
        let problem: Problem = serde_json::from_str(problem).unwrap();
        let kind = |step| OrderFailure::of_problem(step, &problem).kind;
        assert_eq!(kind(ACCOUNT), FailureKind::AccountRefused);
        assert_eq!(kind("validation"), FailureKind::NotValidated);
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = OrderFailure::new(FailureKind::Refused, "order", "x".repeat(10_000));
        assert!(long.to_string().len() < 600);
    }
}
