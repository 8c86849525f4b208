//! Answers as they are asked for, and as they are found in the memories of workers.

use std::time::Duration;

use crate::model::{ReleaseName, Revision, RouteName, Version};

/// The name of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerKey {
    /// The id of its request.
    RequestId(Box<str>),
    /// The last answer of a session.
    Session {
        /// The route.
        route: RouteName,
        /// The session, as a hash.
        session: u64,
    },
}

/// The source of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerOrigin {
    /// The route.
    pub route: RouteName,
    /// The release.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
}

/// Answers to which a name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// One answer.
    One(Box<FoundAnswer>),
    /// Several, so that none of them is meant for certain.
    Several,
}

/// An answer that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAnswer {
    /// Its source.
    pub origin: AnswerOrigin,
    /// The revision by which the release was chosen.
    pub revision: Revision,
    /// Its number.
    pub number: u64,
    /// Its session, as a hash; a random number without one.
    pub session: u64,
    /// Marks of the variants of flags that it was given with.
    pub variants: Box<[u8]>,
    /// Time of its head, in milliseconds of the clock that all workers share.
    pub at_ms: u64,
    /// Time since then.
    pub age: Duration,
}

impl Found {
    pub(super) fn one(answer: FoundAnswer) -> Self {
        Self::One(Box::new(answer))
    }

    /// Answers that two workers have found by one key: the later one of a session, or two to requests of one id.
    #[must_use]
    pub fn with(self, other: Self, key: &AnswerKey) -> Self {
        match (key, self, other) {
            (AnswerKey::Session { .. }, Self::One(one), Self::One(other)) => {
                let order = |answer: &FoundAnswer| (answer.at_ms, answer.revision);
                Self::One(if order(&one) < order(&other) {
                    other
                } else {
                    one
                })
            }
            _ => Self::Several,
        }
    }
}
