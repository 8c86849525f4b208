//! A request to the admin API.

use std::{fmt, time::Duration};

use hyper::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::options::{ChangeArgs, GroupArgs, HealthArgs};
use crate::model::{HumanDuration, Revision};

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A request.
pub(super) struct ApiRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<String>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) based_on: Option<Revision>,
    // Additional time, on top of the timeout.
    pub(super) wait: Duration,
    // A status besides 2xx that brings the answer.
    pub(super) also: Option<StatusCode>,
    // The id of the event that a stream goes on behind.
    pub(super) after: Option<String>,
    pub(super) can_wait: bool,
}

impl ApiRequest {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::of(Method::GET, path)
    }

    pub(super) fn of(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            based_on: None,
            wait: Duration::ZERO,
            also: None,
            after: None,
            can_wait: false,
        }
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).expect("types of the API have string keys"));
        self
    }

    /// Goes on behind an event.
    pub(super) fn after_event(mut self, id: Option<&str>) -> Self {
        self.after = id.map(ToOwned::to_owned);
        self
    }

    /// Adds the options of a change, except the message: some requests have it in the body, others in the query.
    pub(super) fn options(self, change: &ChangeArgs) -> Self {
        let ask = match &change.common.message {
            Some(message) => self.argument("message", message),
            None => self,
        };
        let ask = ask.for_fleet(change.common.wait_fleet);
        ask.dry_run(change.common.dry_run).group(&change.group)
    }

    /// Has the answer of a change come once every node of the fleet has it, or as it is when the time is over.
    pub(super) fn for_fleet(mut self, longest: Option<HumanDuration>) -> Self {
        let Some(longest) = longest else {
            return self;
        };
        self.wait += longest.0;
        self.argument("wait", "fleet").argument("timeout", longest)
    }

    pub(super) fn dry_run(self, dry_run: bool) -> Self {
        if dry_run {
            self.argument("dry_run", true)
        } else {
            self
        }
    }

    /// Adds the group of the change.
    pub(super) fn group(self, group: &GroupArgs) -> Self {
        match &group.name {
            Some(name) => self.argument("group", name),
            None => self,
        }
    }

    /// Adds the health options of a change that may give more to a release.
    pub(super) fn health(mut self, health: &HealthArgs) -> Self {
        if let Some(wait) = health.wait {
            self = self.argument("wait", wait);
            self.wait += wait.0;
        }
        self.can_wait = true;
        self.force(health.force)
    }

    /// Has the answer come once it is so far, or as it is when the time is over.
    pub(super) fn waiting_for(mut self, state: &str, longest: Duration) -> Self {
        self.wait = longest;
        self.also = Some(StatusCode::GATEWAY_TIMEOUT);
        self.argument("wait", state)
            .argument("timeout", HumanDuration(longest))
    }

    /// Adds the permission to proceed although a release is not ready.
    pub(super) fn force(self, force: bool) -> Self {
        if force {
            self.argument("force", true)
        } else {
            self
        }
    }

    /// Adds the order to end at once what is in flight on releases that leave.
    pub(super) fn cut(self, cut: bool) -> Self {
        if cut {
            self.argument("cut", true)
        } else {
            self
        }
    }

    /// Adds a query argument; names and values are plain ASCII or numbers.
    pub(super) fn argument(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.query
            .push(format!("{name}={}", escaped(&value.to_string())));
        self
    }

    pub(super) fn based_on(mut self, revision: Option<Revision>) -> Self {
        self.based_on = revision;
        self
    }
}

/// Percent-encodes a query value.
fn escaped(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_escaped_in_a_query() {
        assert_eq!(escaped("a b&c=ü-._~").to_string(), "a%20b%26c%3D%C3%BC-._~");
    }
}
