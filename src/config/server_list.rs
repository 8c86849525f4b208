//! Checks of servers that a section names by their URLs, and of the client certificate for them.

use std::path::PathBuf;

use crate::model::{HookUrl, Problem, Scheme};

/// A list of servers, each by its origin.
pub(super) struct ServerList<'a> {
    /// Path of the list in the configuration.
    pub(super) at: &'a str,
    /// The servers.
    pub(super) urls: &'a [HookUrl],
    /// Largest number of them.
    pub(super) most: usize,
    /// Word for one of them.
    pub(super) word: &'a str,
    /// A list as it may be.
    pub(super) example: &'a str,
    /// The secret that is sent to them, if there is one.
    pub(super) secret: Option<&'a str>,
}

impl ServerList<'_> {
    /// Checks what can be said without reaching them.
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        if self.urls.is_empty() || self.urls.len() > self.most {
            let (count, word, most) = (self.urls.len(), self.word, self.most);
            let message = format!("{count} {word}s are not from 1 to {most}");
            let problem = Problem::new(self.at, message);
            found.push(problem.hint(format!("write `{}`", self.example)));
        }
        for (place, url) in self.urls.iter().enumerate() {
            self.check_url(place, url, found);
        }
    }

    fn check_url(&self, place: usize, url: &HookUrl, found: &mut Vec<Problem>) {
        let (origin, word) = (url.origin(), self.word);
        let at = format!("{}.{place}", self.at);
        if url.target() != "/" {
            let message = format!("a {word} has no path and no query");
            let problem = Problem::new(at.as_str(), message);
            found.push(problem.hint(format!("write `{origin}`")));
        }
        let earlier = &self.urls[..place];
        if earlier.iter().any(|one| one.origin() == origin) {
            let problem = Problem::new(at.as_str(), format!("`{origin}` is there twice"));
            found.push(problem.hint(format!("name each {word} once")));
        }
        let is_open = origin.scheme() == Scheme::Http && !origin.is_loopback();
        if let Some(secret) = self.secret.filter(|_| is_open) {
            let message = format!("the {secret} would go over the network without TLS");
            found.push(Problem::new(at, message).hint("write `https://`"));
        }
    }
}

/// Checks that a section has both files of a client certificate, or neither.
pub(super) fn check_client_certificate(
    section: &str,
    cert: Option<&PathBuf>,
    key: Option<&PathBuf>,
    found: &mut Vec<Problem>,
) {
    let (has, needs) = match (cert, key) {
        (Some(_), None) => ("cert", "key"),
        (None, Some(_)) => ("key", "cert"),
        _ => return,
    };
    let problem = Problem::new(format!("{section}.{has}"), format!("it needs `{needs}`"));
    found.push(problem.hint("a client certificate is two files"));
}
