//! The memory of a worker for the answers that it gave lately: where each came from, by the id of its request and by its
//! session, for those who say later what they think of it.
//!
//! It belongs to one thread. The answers are in a ring, in which a new one replaces the oldest; two tables of chains lead
//! to them. A chain goes from the newest answer to the oldest, so it needs no removal: it ends where a place is younger
//! than the one that leads to it, since that place has another answer by now.

use std::{
    hash::{BuildHasher as _, RandomState},
    iter,
    num::NonZeroU64,
    rc::Rc,
    time::Duration,
};

use super::found_answer::{AnswerKey, AnswerOrigin, Found, FoundAnswer};
use crate::model::{Revision, RouteName};

/// Number of answers that are remembered.
const MOST: usize = 32_000;
/// Number of chains of each table.
const CHAINS: usize = 32_768;
/// Length of a request id that is made here, in digits.
const OWN_DIGITS: usize = 32;

/// An answer, as it is remembered.
#[derive(Debug)]
pub struct GivenAnswer {
    /// Its source.
    pub origin: Rc<AnswerOrigin>,
    /// The revision by which the release was chosen.
    pub revision: Revision,
    /// A random number, the same as in its stamp if it has one.
    pub number: u64,
    /// Its session, as a hash; a random number without one.
    pub session: u64,
    /// Marks of the variants of flags that it was given with, one behind the other.
    pub variants: Box<[u8]>,
    /// Time of its head, in milliseconds of the clock that all workers share.
    pub at_ms: u64,
}

/// The id of a request.
#[derive(Debug, Clone, Copy)]
pub enum AnswerId<'i> {
    /// One that a trusted proxy has given. It may come twice.
    Given(&'i str),
    /// One that was made here, at random.
    Own(u128),
}

/// The memory. It takes room with the first answer.
#[derive(Debug, Default)]
pub struct AnswerMemory {
    // Keyed, so that no client can choose ids or sessions that fall together.
    hash: RandomState,
    answers: Vec<Remembered>,
    /// The place of the next answer.
    next: usize,
    by_id: Chains,
    by_session: Chains,
}

#[derive(Debug)]
struct Remembered {
    answer: GivenAnswer,
    /// Hash of the request's id; none if it is not remembered by that.
    id: Option<NonZeroU64>,
    has_session: bool,
    /// There was another answer to a request of this id.
    is_ambiguous: bool,
    // Places of the answers before this one in its chains.
    before_id: Link,
    before_session: Link,
}

/// A place of the ring, plus 1; 0 for none.
type Link = u16;

/// The newest place of each chain. Empty before the first answer.
#[derive(Debug, Default)]
struct Chains(Box<[Link]>);

// === impl AnswerMemory ===

impl AnswerMemory {
    /// Remembers an answer: by the id of its request if there is one, and by its session if it has one.
    pub fn remember(&mut self, answer: GivenAnswer, id: Option<AnswerId<'_>>, has_session: bool) {
        self.take_room();
        let link = link_to(self.next);
        let hash = id.map(|id| self.hash_of(id));
        // One of ours is random, so nothing is looked for.
        let is_ambiguous = match (id, hash) {
            (Some(AnswerId::Given(_)), Some(hash)) => self.of_id(hash).next().is_some(),
            _ => false,
        };
        let before_id = hash.map_or(0, |hash| self.by_id.put(hash, link));
        let session =
            has_session.then(|| self.hash_of_session(&answer.origin.route, answer.session));
        let before_session = session.map_or(0, |hash| self.by_session.put(hash, link));
        let remembered = Remembered {
            answer,
            id: hash.and_then(NonZeroU64::new),
            has_session,
            is_ambiguous,
            before_id,
            before_session,
        };
        match self.answers.get_mut(self.next) {
            Some(oldest) => *oldest = remembered,
            None => self.answers.push(remembered),
        }
        self.next = (self.next + 1) % MOST;
    }

    /// The answer of this name, at a time of the clock that all workers share.
    pub fn find(&self, key: &AnswerKey, now_ms: u64) -> Option<Found> {
        match key {
            AnswerKey::RequestId(id) => {
                let mut answers = self.of_id(self.hash_of(AnswerId::Given(id)));
                let newest = answers.next()?;
                if newest.is_ambiguous || answers.next().is_some() {
                    return Some(Found::Several);
                }
                Some(Found::one(newest.found(now_ms)))
            }
            AnswerKey::Session { route, session } => {
                let hash = self.hash_of_session(route, *session);
                let mut answers =
                    self.chain(self.by_session.newest(hash), |one| one.before_session);
                let newest = answers.find(|one| one.is_of(route, *session))?;
                Some(Found::one(newest.found(now_ms)))
            }
        }
    }

    /// Takes the room for all answers at once, so that no request waits for more of it.
    fn take_room(&mut self) {
        if self.answers.capacity() == 0 {
            self.answers.reserve_exact(MOST);
            self.by_id = Chains::new();
            self.by_session = Chains::new();
        }
    }

    fn of_id(&self, hash: u64) -> impl Iterator<Item = &Remembered> {
        let chain = self.chain(self.by_id.newest(hash), |one| one.before_id);
        chain.filter(move |one| one.id.is_some_and(|id| id.get() == hash))
    }

    /// The answers of a chain, the newest first.
    fn chain(
        &self,
        newest: Link,
        before: impl Fn(&Remembered) -> Link,
    ) -> impl Iterator<Item = &Remembered> {
        let (mut link, mut age) = (newest, None);
        iter::from_fn(move || {
            let place = usize::from(link).checked_sub(1)?;
            let found = self.answers.get(place)?;
            let own = Some(self.age(place));
            if own <= age {
                return None;
            }
            (link, age) = (before(found), own);
            Some(found)
        })
    }

    /// Number of answers that are younger than the one at a place.
    fn age(&self, place: usize) -> usize {
        let count = self.answers.len();
        (self.next + count - 1 - place) % count
    }

    fn hash_of(&self, id: AnswerId<'_>) -> u64 {
        let number = match id {
            AnswerId::Given(text) => own_number(text).ok_or(text),
            AnswerId::Own(number) => Ok(number),
        };
        self.hash.hash_one(number)
    }

    fn hash_of_session(&self, route: &RouteName, session: u64) -> u64 {
        self.hash.hash_one((session, route))
    }
}

/// The number of an id that looks like one of ours: it is the same id, whoever sends it.
fn own_number(id: &str) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_own = id.len() == OWN_DIGITS && id.bytes().all(is_digit);
    is_own.then(|| u128::from_str_radix(id, 16).ok()).flatten()
}

// === impl Remembered ===

impl Remembered {
    fn is_of(&self, route: &RouteName, session: u64) -> bool {
        let answer = &self.answer;
        self.has_session && answer.session == session && answer.origin.route == *route
    }

    fn found(&self, now_ms: u64) -> FoundAnswer {
        let answer = &self.answer;
        FoundAnswer {
            origin: AnswerOrigin::clone(&answer.origin),
            revision: answer.revision,
            number: answer.number,
            session: answer.session,
            variants: answer.variants.clone(),
            at_ms: answer.at_ms,
            age: Duration::from_millis(now_ms.saturating_sub(answer.at_ms)),
        }
    }
}

// === impl Chains ===

impl Chains {
    fn new() -> Self {
        Self(vec![0; CHAINS].into())
    }

    fn newest(&self, hash: u64) -> Link {
        self.0.get(chain_of(hash)).copied().unwrap_or_default()
    }

    /// Puts a place before the newest one of its chain, and returns that.
    fn put(&mut self, hash: u64, link: Link) -> Link {
        std::mem::replace(&mut self.0[chain_of(hash)], link)
    }
}

fn link_to(place: usize) -> Link {
    Link::try_from(place + 1).expect("there are fewer places")
}

fn chain_of(hash: u64) -> usize {
    usize::try_from(hash % CHAINS as u64).expect("it is one of the chains")
}

#[cfg(test)]
mod tests;
