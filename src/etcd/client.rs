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
            writes: false,
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
                    Err(error) if call.writes && may_be_done(&running, failure.as_ref()) => {
                        failure = Some(graver(failure.take(), error));
                        None
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

/// True if a copy of a write may have been done, or may be yet.
fn may_be_done<T>(running: &FuturesUnordered<T>, failure: Option<&EtcdError>) -> bool {
    !running.is_empty() || failure.is_some_and(EtcdError::outcome_is_unknown)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        sync::oneshot,
    };

    use super::*;
    use crate::etcd::Transaction;

    const REFUSAL: &str = r#"{"code":7,"message":"etcdserver: permission denied"}"#;
    const DONE: &str = r#"{"header":{"revision":"2"},"succeeded":true}"#;

    async fn members(hedge_after: Duration) -> ([TcpListener; 2], EtcdClient) {
        let members = [
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        ];
        let url = |member: &TcpListener| {
            let address = member.local_addr().unwrap();
            format!("http://{address}").parse().unwrap()
        };
        let settings = EtcdSettings {
            timeout: Duration::from_mins(1),
            hedge_after,
            ..EtcdSettings::new(members.iter().map(url).collect())
        };
        (members, EtcdClient::load(settings).unwrap())
    }

    async fn asked(member: &TcpListener) -> TcpStream {
        let (mut stream, _) = member.accept().await.unwrap();
        let mut request = [0; 16];
        stream.read_exact(&mut request).await.unwrap();
        stream
    }

    async fn answer(mut stream: TcpStream, status: &str, body: &str) {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(text.as_bytes()).await.unwrap();
        // A socket that is closed with unread bytes resets what was sent.
        drop(stream.read_to_end(&mut Vec::new()).await);
    }

    fn write() -> Transaction {
        Transaction {
            compare: Vec::new(),
            then: Vec::new(),
            otherwise: Vec::new(),
            repeatable: true,
        }
    }

    #[tokio::test]
    async fn a_refusal_after_a_lost_answer_leaves_a_write_unknown() {
        let ([first, second], client) = members(Duration::from_mins(1)).await;
        let serve = async {
            drop(asked(&first).await);
            answer(asked(&second).await, "403 Forbidden", REFUSAL).await;
        };
        let write = write();
        let (committed, ()) = tokio::join!(client.commit(&write), serve);
        let error = committed.unwrap_err();
        assert!(error.outcome_is_unknown(), "{error:?}");
    }

    #[tokio::test]
    async fn a_refusal_of_one_copy_waits_for_the_other() {
        let ([first, second], client) = members(Duration::from_millis(1)).await;
        let (tell, told) = oneshot::channel();
        let slow = async {
            let stream = asked(&first).await;
            told.await.unwrap();
            answer(stream, "200 OK", DONE).await;
        };
        let refusing = async {
            answer(asked(&second).await, "403 Forbidden", REFUSAL).await;
            // It is read: the client has closed the connection.
            tell.send(()).unwrap();
        };
        let write = write();
        let (committed, (), ()) = tokio::join!(client.commit(&write), slow, refusing);
        assert!(committed.unwrap().succeeded);
    }
}
