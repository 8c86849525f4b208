//! The board between the control plane and the workers: requests about the work in flight and about answers that were
//! given, and what the workers say.
//!
//! The list of a worker's work, and its memory of answers, belong to that worker alone. So the control plane leaves a request here and wakes the
//! worker, which answers from its own loop.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crossbeam_utils::CachePadded;
use tokio::sync::{Notify, oneshot};

use crate::{
    fleet::{AnswerKey, Found, Roster},
    model::{CutCause, Revision, RouteName, WorkClass},
};

/// Largest number of requests that a worker has not taken yet; a further one is left out. Cuts are ordered again and again
/// while there is work.
const MOST: usize = 1_024;
/// Longest wait for the ages of its work: the next look asks again.
const LONGEST_AGES: Duration = Duration::from_millis(200);
/// Longest wait for a worker's tally.
const LONGEST: Duration = Duration::from_secs(2);
/// Longest wait for a worker that looks for an answer.
const LONGEST_FIND: Duration = Duration::from_secs(1);

/// A request to a worker.
#[derive(Debug)]
pub enum WorkRequest {
    /// Counts the work in flight on a release, of one route or of all.
    Count {
        /// The endpoints of the release.
        roster: Arc<Roster>,
        /// The route; all of them if absent.
        route: Option<RouteName>,
        /// The ages for [`WorkTally::older`].
        ages: Ages,
        /// Receives the result.
        tally: oneshot::Sender<WorkTally>,
    },
    /// Ends work in flight.
    Cut(Arc<CutOrder>),
    /// Looks for an answer that was given.
    Find {
        /// Its name.
        key: Arc<AnswerKey>,
        /// Receives what the worker remembers.
        found: oneshot::Sender<Option<Found>>,
    },
}

/// Work that is to end: that of a release or all of it, selected by an earlier revision.
#[derive(Debug)]
pub struct CutOrder {
    /// The endpoints of the release; all work if absent.
    pub roster: Option<Arc<Roster>>,
    /// The route that the release left; all of them if absent.
    pub route: Option<RouteName>,
    /// The class; all of them if absent.
    pub class: Option<WorkClass>,
    /// Work that this revision or a later one selected stays.
    pub before: Revision,
    /// Part of the work, from 0 to `u32::MAX` for all of it. A larger part includes every smaller one.
    pub part: u32,
    /// The cause.
    pub cause: CutCause,
}

/// Ages above which work is counted, ascending; [`Duration::MAX`] where there are fewer.
pub type Ages = [Duration; 4];

/// Work in flight as one worker has it, or all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkTally {
    /// By class, in the order of [`WorkClass::ALL`].
    pub classes: [ClassTally; WorkClass::ALL.len()],
    /// By the revision that selected it.
    pub revisions: BTreeMap<Revision, ClassTally>,
    /// Work that is older than each of the ages, without previews.
    pub older: [u64; 4],
}

/// A number of requests, and the age of the oldest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassTally {
    /// Number of requests.
    pub count: u64,
    /// Time since the oldest was selected for; zero without any.
    pub oldest: Duration,
}

/// The requests of all workers.
#[derive(Debug)]
pub struct WorkBoard(Box<[CachePadded<Inbox>]>);

#[derive(Debug, Default)]
struct Inbox {
    // None while the worker does not run.
    requests: Mutex<Option<Vec<WorkRequest>>>,
    arrived: Notify,
}

/// Error of a worker that has not taken its requests for so long that there is no room for more.
#[derive(Debug)]
struct Full;

// === impl WorkBoard ===

impl WorkBoard {
    /// Creates a board for this many workers, none of which runs yet.
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| CachePadded::default()).collect())
    }

    /// Marks a worker as running: its requests are kept until it takes them.
    pub fn join(&self, worker: usize) {
        self.0[worker].lock().get_or_insert_default();
    }

    /// Marks a worker as stopped; what it has not answered is answered with nothing.
    pub fn leave(&self, worker: usize) {
        *self.0[worker].lock() = None;
    }

    /// Requests for a worker, once there are any. Cancel-safe.
    pub async fn requests(&self, worker: usize) -> Vec<WorkRequest> {
        let inbox = &self.0[worker];
        loop {
            inbox.arrived.notified().await;
            let arrived = inbox.lock().as_mut().map(std::mem::take);
            if let Some(arrived) = arrived.filter(|arrived| !arrived.is_empty()) {
                return arrived;
            }
        }
    }

    /// Has every worker end work.
    pub fn cut(&self, order: CutOrder) {
        let order = Arc::new(order);
        for inbox in &self.0 {
            // One that finds no room is ordered again.
            let _is_in = inbox.put(WorkRequest::Cut(Arc::clone(&order)));
        }
    }

    /// Counts the work in flight on a release over all workers; a worker that does not answer in time is in the list.
    pub async fn count(
        &self,
        roster: &Arc<Roster>,
        route: Option<&RouteName>,
    ) -> (WorkTally, Vec<usize>) {
        let ages = [Duration::MAX; 4];
        self.count_within(roster, (route, ages), LONGEST).await
    }

    /// Counts the work of one route in flight on a release that is older than each of these ages; `None` if a worker does
    /// not answer in time.
    pub async fn count_older(
        &self,
        roster: &Arc<Roster>,
        route: &RouteName,
        ages: Ages,
    ) -> Option<[u64; 4]> {
        let counted = self.count_within(roster, (Some(route), ages), LONGEST_AGES);
        let (tally, silent) = counted.await;
        silent.is_empty().then_some(tally.older)
    }

    async fn count_within(
        &self,
        roster: &Arc<Roster>,
        (route, ages): (Option<&RouteName>, Ages),
        longest: Duration,
    ) -> (WorkTally, Vec<usize>) {
        let mut all = WorkTally::default();
        let ask = |inbox: &Inbox| inbox.ask(roster, route, ages);
        let silent = self.collect(ask, |tally| all.add(&tally), longest).await;
        (all, silent)
    }

    /// The answer of this name in the memories of all workers.
    ///
    /// # Errors
    /// The workers that do not say in time: what they remember may be another answer of this name.
    pub async fn find(&self, key: AnswerKey) -> Result<Option<Found>, Vec<usize>> {
        self.find_within(key, LONGEST_FIND).await
    }

    async fn find_within(
        &self,
        key: AnswerKey,
        longest: Duration,
    ) -> Result<Option<Found>, Vec<usize>> {
        let (key, mut all) = (Arc::new(key), None);
        let add = |one: Option<Found>| {
            all = match (all.take(), one) {
                (Some(all), Some(one)) => Some(Found::with(all, one, &key)),
                (all, one) => all.or(one),
            };
        };
        let silent = self.collect(|inbox| inbox.find(&key), add, longest).await;
        if silent.is_empty() {
            Ok(all)
        } else {
            Err(silent)
        }
    }

    /// Asks every worker, and returns those that do not answer in time.
    async fn collect<T>(
        &self,
        ask: impl Fn(&Inbox) -> Result<oneshot::Receiver<T>, Full>,
        mut add: impl FnMut(T),
        longest: Duration,
    ) -> Vec<usize> {
        let asked: Vec<_> = self.0.iter().map(|inbox| ask(inbox)).collect();
        let until = tokio::time::Instant::now() + longest;
        let mut silent = Vec::new();
        for (worker, answer) in asked.into_iter().enumerate() {
            let Ok(answer) = answer else {
                silent.push(worker);
                continue;
            };
            match tokio::time::timeout_at(until, answer).await {
                Ok(Ok(answer)) => add(answer),
                // It does not run, so it has no work and remembers nothing.
                Ok(Err(_)) => {}
                Err(_) => silent.push(worker),
            }
        }
        silent
    }
}

// === impl Inbox ===

impl Inbox {
    // Safe to ignore poisoning: the value is valid between any two statements.
    fn lock(&self) -> MutexGuard<'_, Option<Vec<WorkRequest>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a request for the worker; one that does not run needs none.
    fn put(&self, request: WorkRequest) -> Result<(), Full> {
        if let Some(requests) = self.lock().as_mut() {
            if requests.len() >= MOST {
                return Err(Full);
            }
            requests.push(request);
            self.arrived.notify_one();
        }
        Ok(())
    }

    fn ask(
        &self,
        roster: &Arc<Roster>,
        route: Option<&RouteName>,
        ages: Ages,
    ) -> Result<oneshot::Receiver<WorkTally>, Full> {
        let (tally, answer) = oneshot::channel();
        let count = WorkRequest::Count {
            roster: Arc::clone(roster),
            route: route.cloned(),
            ages,
            tally,
        };
        self.put(count).map(|()| answer)
    }

    fn find(&self, key: &Arc<AnswerKey>) -> Result<oneshot::Receiver<Option<Found>>, Full> {
        // Those that nobody waits for any more leave the room to others.
        if let Some(requests) = self.lock().as_mut() {
            requests.retain(|request| !request.is_given_up());
        }
        let (found, answer) = oneshot::channel();
        let find = WorkRequest::Find {
            key: Arc::clone(key),
            found,
        };
        self.put(find).map(|()| answer)
    }
}

// === impl WorkRequest ===

impl WorkRequest {
    fn is_given_up(&self) -> bool {
        matches!(self, Self::Find { found, .. } if found.is_closed())
    }
}

// === impl WorkTally ===

impl WorkTally {
    /// Adds a request of this age.
    pub fn count(&mut self, class: WorkClass, revision: Revision, age: Duration) {
        let one = ClassTally {
            count: 1,
            oldest: age,
        };
        self.classes[class.index()].add(one);
        self.revisions.entry(revision).or_default().add(one);
    }

    /// Counts the age of a request.
    pub fn count_age(&mut self, age: Duration, ages: &Ages) {
        for (count, threshold) in self.older.iter_mut().zip(ages) {
            *count += u64::from(age > *threshold);
        }
    }

    fn add(&mut self, other: &Self) {
        for (all, older) in self.older.iter_mut().zip(other.older) {
            *all += older;
        }
        for (all, class) in self.classes.iter_mut().zip(&other.classes) {
            all.add(*class);
        }
        for (revision, tally) in &other.revisions {
            self.revisions.entry(*revision).or_default().add(*tally);
        }
    }

    /// Number of all requests.
    pub fn total(&self) -> u64 {
        self.classes.iter().map(|class| class.count).sum()
    }
}

impl ClassTally {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.oldest = self.oldest.max(other.oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::{AnswerOrigin, Fleet, FoundAnswer},
        model::Version,
    };

    fn roster() -> Arc<Roster> {
        Fleet::new(1).roster(&"blue".parse().unwrap(), &Version::default())
    }

    #[tokio::test]
    async fn the_tallies_of_those_who_run_are_added_and_the_others_have_nothing() {
        let (board, roster) = (WorkBoard::new(3), roster());
        let (second, third) = (Duration::from_secs(2), Duration::from_secs(3));
        board.join(0);
        board.join(1);
        let answer = async |worker: usize, age| {
            for request in board.requests(worker).await {
                let WorkRequest::Count { tally, .. } = request else {
                    panic!("{request:?}");
                };
                let mut own = WorkTally::default();
                own.count(WorkClass::Stream, Revision(7), age);
                own.count(WorkClass::Unary, Revision(9), Duration::ZERO);
                let seconds = [1, 5, 6, 7].map(Duration::from_secs);
                own.count_age(age, &seconds);
                tally.send(own).unwrap();
            }
        };
        let ((all, silent), (), ()) = tokio::join!(
            board.count(&roster, None),
            answer(0, second),
            answer(1, third)
        );
        assert_eq!(all.older, [2, 0, 0, 0]);
        let stream = all.classes[WorkClass::Stream.index()];
        assert_eq!((stream.count, stream.oldest), (2, third));
        assert_eq!((all.total(), silent), (4, Vec::new()));
        let revisions: Vec<_> = all
            .revisions
            .iter()
            .map(|(at, all)| (at.0, all.count))
            .collect();
        assert_eq!(revisions, [(7, 2), (9, 2)]);
    }

    #[tokio::test]
    async fn a_worker_that_does_not_answer_is_named_and_one_that_stops_is_not() {
        let (board, roster) = (WorkBoard::new(2), roster());
        board.join(0);
        board.join(1);
        let stop = async { board.leave(1) };
        let ((all, silent), ()) = tokio::join!(
            board.count_within(&roster, (None, [Duration::MAX; 4]), Duration::ZERO),
            stop
        );
        assert_eq!((all.total(), silent), (0, vec![0]));
    }

    #[tokio::test]
    async fn a_worker_without_room_for_the_question_is_not_one_without_work() {
        let (board, roster) = (WorkBoard::new(1), roster());
        board.join(0);
        for _ in 0..MOST {
            board.cut(CutOrder {
                roster: None,
                route: None,
                class: None,
                before: Revision(1),
                part: u32::MAX,
                cause: CutCause::Shutdown,
            });
        }
        let (all, silent) = board.count(&roster, None).await;
        assert_eq!((all.total(), silent), (0, vec![0]));
        assert_eq!(board.requests(0).await.len(), MOST);
    }

    fn found(number: u64, at_ms: u64) -> Found {
        Found::One(Box::new(FoundAnswer {
            origin: AnswerOrigin {
                route: "chat".parse().unwrap(),
                release: "blue".parse().unwrap(),
                version: Version::default(),
            },
            revision: Revision(1),
            number,
            session: 4,
            variants: Box::default(),
            at_ms,
            age: Duration::ZERO,
        }))
    }

    /// The result if the workers remember these answers.
    async fn asked(key: &AnswerKey, remembered: [Option<Found>; 2]) -> Option<Found> {
        let board = WorkBoard::new(3);
        board.join(0);
        board.join(1);
        let tell = async |worker: usize, one: &Option<Found>| {
            for request in board.requests(worker).await {
                let WorkRequest::Find { key: asked, found } = request else {
                    panic!("{request:?}");
                };
                assert_eq!(*asked, *key);
                found.send(one.clone()).unwrap();
            }
        };
        let [first, second] = &remembered;
        let all = tokio::join!(board.find(key.clone()), tell(0, first), tell(1, second));
        all.0.unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_what_one_worker_remembers_or_the_later_of_a_session() {
        let id = AnswerKey::RequestId("a".into());
        assert_eq!(asked(&id, [None, None]).await, None);
        let one = Some(found(7, 100));
        assert_eq!(asked(&id, [None, one.clone()]).await, one);
        let both = [one.clone(), Some(found(8, 200))];
        assert_eq!(asked(&id, both.clone()).await, Some(Found::Several));
        let session = AnswerKey::Session {
            route: "chat".parse().unwrap(),
            session: 4,
        };
        assert_eq!(asked(&session, both.clone()).await, both[1]);
        let [one, other] = both;
        assert_eq!(asked(&session, [other.clone(), one]).await, other);
        let doubt = [Some(Found::Several), None];
        assert_eq!(asked(&id, doubt).await, Some(Found::Several));
    }

    #[tokio::test]
    async fn without_the_word_of_every_worker_nothing_is_found_and_no_question_stays() {
        let board = WorkBoard::new(1);
        board.join(0);
        let key = AnswerKey::RequestId("a".into());
        for _ in 0..3 * MOST {
            let found = board.find_within(key.clone(), Duration::ZERO).await;
            assert_eq!(found, Err(vec![0]));
        }
        assert_eq!(board.requests(0).await.len(), 1);
        board.leave(0);
        assert_eq!(board.find(key).await, Ok(None), "it has stopped");
    }
}
