//! Calls to a cluster: which member is asked, and which one next.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{sleep, timeout};

use super::{
    error::EtcdError,
    member::{Call, Members},
    settings::EtcdSettings,
    wire::{MemberStatus, read},
};

/// Client of a cluster. Clones share the members and the token.
#[derive(Clone)]
pub struct EtcdClient {
    pub(super) members: Arc<Members>,
    /// Member that is asked first.
    preferred: Arc<AtomicUsize>,
}

impl EtcdClient {
    /// Reads the certificates.
    ///
    /// # Errors
    /// If a file cannot be used, or there is no member.
    pub fn load(settings: EtcdSettings) -> Result<Self, EtcdError> {
        if settings.members.is_empty() {
            return Err(EtcdError::Unreachable("there are no members".to_owned()));
        }
        Ok(Self {
            members: Arc::new(Members::load(settings)?),
            preferred: Arc::default(),
        })
    }

    /// State of the member that answers, which may have no leader.
    ///
    /// # Errors
    /// If none answers.
    pub async fn status(&self) -> Result<MemberStatus, EtcdError> {
        let call = Call {
            path: "/v3/maintenance/status",
            body: "{}".into(),
            repeatable: true,
            needs_leader: false,
        };
        Ok(read(&self.call(&call).await?)?)
    }

    /// Calls one member after the other until one answers; a call that may be repeated goes to the next one after a pause.
    pub(super) async fn call(&self, call: &Call) -> Result<Vec<u8>, EtcdError> {
        let limit = self.members.settings.timeout;
        let first = self.preferred();
        let answer = timeout(limit, self.attempts(first, call)).await;
        answer.unwrap_or_else(|_| {
            self.leave(first);
            Err(EtcdError::TimedOut(limit))
        })
    }

    /// Each member is asked at once when the one before it fails. Where they are silent they are asked after a pause, and
    /// each a second time: a follower passes a write to the leader that it knows, and for a while that may be a frozen one.
    async fn attempts(&self, first: usize, call: &Call) -> Result<Vec<u8>, EtcdError> {
        let count = self.members.settings.members.len();
        let rounds = if call.repeatable && count > 1 { 2 } else { 1 };
        let attempt =
            |member: usize| async move { (member, self.members.call(member, call).await) };
        let mut others = (1..count * rounds).peekable();
        let mut running = FuturesUnordered::new();
        running.push(attempt(first));
        let mut failure = None;
        loop {
            let may_hedge = call.repeatable && others.peek().is_some();
            let next = tokio::select! {
                Some((member, answer)) = running.next() => match answer {
                    Err(error) if error.is_of_the_member(call.repeatable) => {
                        failure = Some(graver(failure.take(), error));
                        others.next_if(|next| *next < count)
                    }
                    answer => {
                        self.prefer(member);
                        return answer;
                    }
                },
                () = sleep(self.members.settings.hedge_after), if may_hedge => others.next(),
            };
            running.extend(next.map(|next| attempt((first + next) % count)));
            if running.is_empty()
                && let Some(error) = failure
            {
                return Err(error);
            }
        }
    }

    /// Member that is asked first.
    pub(super) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    fn prefer(&self, member: usize) {
        self.preferred.store(member, Ordering::Relaxed);
    }

    /// Prefers the member after this one, unless another one is preferred by now.
    pub(super) fn leave(&self, member: usize) {
        let next = (member + 1) % self.members.settings.members.len();
        // Another one is preferred by now: nothing to do.
        let _ = self
            .preferred
            .compare_exchange(member, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Of two failures the one after which more may have happened.
fn graver(earlier: Option<EtcdError>, later: EtcdError) -> EtcdError {
    earlier
        .filter(EtcdError::outcome_is_unknown)
        .unwrap_or(later)
}

impl fmt::Debug for EtcdClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EtcdClient");
        shown
            .field("members", &self.members.settings.members)
            .finish_non_exhaustive()
    }
}
