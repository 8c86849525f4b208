//! Bulk evaluations that an event has triggered: they carry the tag that the event had.
//!
//! An event may come from another instance behind the same address, which has a change before this one has it. So such
//! an evaluation waits for a short time until this instance has it too; and as long as the flags are others than those
//! of the event, no `If-None-Match` makes a 304 of it, or the client would keep what it has until the next event.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use tokio::{sync::Semaphore, time::timeout};

use super::etag;
use crate::{model::Digest, table::LiveTable};

/// Longest wait for the flags that an event had.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Most evaluations that wait at a time; one more is answered at once.
const MOST_WAITS: usize = 256;

/// Most bytes of a tag that may be one of an event.
const LONGEST_TAG: usize = 64;

/// Number of digests that are remembered of what events had.
const REMEMBERED: usize = 64;

/// Query of a bulk evaluation.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RefetchQuery {
    #[serde(rename = "flagConfigEtag")]
    tag: Option<String>,
}

impl RefetchQuery {
    /// True if an event had the tag of other flags.
    pub(super) fn is_of_others(&self, flags: Digest) -> bool {
        let tag = self.tag.as_deref();
        let tag = tag.filter(|tag| (1..=LONGEST_TAG).contains(&tag.len()));
        tag.is_some_and(|tag| !etag::is_named(&etag::of_flags(flags), tag))
    }
}

/// Flags that events of this instance had, and the evaluations that wait for those of others.
#[derive(Debug, Clone)]
pub(super) struct Refetches {
    told: Arc<Mutex<VecDeque<Digest>>>,
    waits: Arc<Semaphore>,
}

impl Default for Refetches {
    fn default() -> Self {
        Self {
            told: Arc::default(),
            waits: Arc::new(Semaphore::new(MOST_WAITS)),
        }
    }
}

impl Refetches {
    /// Remembers the flags of an event.
    pub(super) fn tell(&self, flags: Digest) {
        let mut told = self.told();
        if told.contains(&flags) {
            return;
        }
        told.push_back(flags);
        if told.len() > REMEMBERED {
            told.pop_front();
        }
    }

    /// Waits until the flags that an event had are live, unless they have been live here, and no longer than a second.
    pub(super) async fn caught_up(&self, query: &RefetchQuery, table: &LiveTable) {
        let mut revisions = table.follow();
        let is_behind = || query.is_of_others(table.load().compiled().spec().flags_digest());
        if !is_behind() || self.has_told(query) {
            return;
        }
        let Ok(_permit) = self.waits.try_acquire() else {
            return;
        };
        let arrival = async { while is_behind() && revisions.changed().await.is_ok() {} };
        // What is not there in time is answered as it is here.
        let _ = timeout(LONGEST_WAIT, arrival).await;
    }

    fn has_told(&self, query: &RefetchQuery) -> bool {
        self.told().iter().any(|flags| !query.is_of_others(*flags))
    }

    // Safe to ignore poisoning: the list is right between any two statements.
    fn told(&self) -> MutexGuard<'_, VecDeque<Digest>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(tag: &str) -> RefetchQuery {
        let tag = Some(tag.to_owned());
        RefetchQuery { tag }
    }

    #[test]
    fn a_tag_names_its_flags_in_quotes_or_not_and_no_tag_names_none() {
        let (one, two) = (Digest::of(&"one"), Digest::of(&"two"));
        let tag = etag::of_flags(one);
        for text in [tag.as_str(), tag.trim_matches('"'), &format!("W/{tag}")] {
            assert!(!named(text).is_of_others(one), "{text}");
            assert!(named(text).is_of_others(two), "{text}");
        }
        assert!(!RefetchQuery::default().is_of_others(one));
        assert!(named("\u{0}%zz").is_of_others(one));
        // No event has these.
        assert!(!named("").is_of_others(one) && !named(&"x".repeat(65)).is_of_others(one));
    }

    #[tokio::test]
    async fn what_was_live_here_is_not_waited_for_and_what_was_not_for_a_second() {
        let (table, refetches) = (LiveTable::new(1), Refetches::default());
        let unknown = named(&etag::of_flags(Digest::of(&"elsewhere")));
        let start = std::time::Instant::now();
        refetches.caught_up(&unknown, &table).await;
        assert!(start.elapsed() >= LONGEST_WAIT);
        refetches.tell(Digest::of(&"elsewhere"));
        // It would wait for a permit that there is none of, or for a change that never comes.
        assert!(refetches.has_told(&unknown));
    }

    #[tokio::test]
    async fn one_wait_too_many_is_none() {
        let (table, refetches) = (LiveTable::new(1), Refetches::default());
        let _all = refetches
            .waits
            .try_acquire_many(u32::try_from(MOST_WAITS).unwrap())
            .unwrap();
        let unknown = named("\"elsewhere\"");
        let at_once = timeout(LONGEST_WAIT / 2, refetches.caught_up(&unknown, &table));
        at_once.await.unwrap();
    }

    #[test]
    fn few_digests_are_remembered_and_the_oldest_goes() {
        let refetches = Refetches::default();
        for number in 0..=REMEMBERED {
            refetches.tell(Digest::of(&number));
            refetches.tell(Digest::of(&number));
        }
        let of = |number: usize| named(&etag::of_flags(Digest::of(&number)));
        assert!(!refetches.has_told(&of(0)));
        assert!(refetches.has_told(&of(1)) && refetches.has_told(&of(REMEMBERED)));
        assert_eq!(refetches.told().len(), REMEMBERED);
    }
}
