//! One stream of a watch, from one member.
//!
//! The body of its request stays open, and each object that is written to it is a request of its own. Over HTTP/1.1 that
//! works because the request says that the connection ends with it: Go's server reads all of a body before it answers
//! otherwise.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use super::{
    error::EtcdError,
    key_range::KeyRange,
    member::Members,
    wire::{StreamReader, WatchAnswer},
};
use crate::net::{HttpAnswer, RequestBody};

/// A stream that is open.
pub(super) struct WatchStream {
    answer: HttpAnswer,
    messages: StreamReader,
    requests: mpsc::Sender<Bytes>,
    pub(super) token: Option<Arc<str>>,
}

impl WatchStream {
    /// Opens a stream.
    ///
    /// # Errors
    /// If the member cannot be reached or refuses.
    pub(super) async fn open(
        members: &Members,
        member: usize,
        keys: &KeyRange,
        from: u64,
    ) -> Result<Self, EtcdError> {
        let limit = members.settings.timeout;
        let opened = timeout(limit, Self::open_in_time(members, member, keys, from)).await;
        opened.unwrap_or(Err(EtcdError::TimedOut(limit)))
    }

    async fn open_in_time(
        members: &Members,
        member: usize,
        keys: &KeyRange,
        from: u64,
    ) -> Result<Self, EtcdError> {
        let token = members.token(member).await?;
        let (requests, pieces) = mpsc::channel(2);
        // There is room for it.
        let _ = requests.try_send(create_request(keys, from));
        let body = RequestBody::Pieces(pieces);
        let answer = members
            .open(member, "/v3/watch", body, token.as_ref(), true)
            .await?;
        Ok(Self {
            answer,
            messages: StreamReader::up_to(members.settings.largest_answer),
            requests,
            token,
        })
    }

    /// Asks for a sign of life.
    pub(super) fn ask_for_progress(&self) {
        // One that was not sent yet does as well.
        let _ = self
            .requests
            .try_send(Bytes::from_static(b"{\"progress_request\":{}}\n"));
    }

    /// The next message. Cancel-safe.
    ///
    /// # Errors
    /// If the stream ends or breaks, or if etcd says that it has an error.
    pub(super) async fn next(&mut self) -> Result<WatchAnswer, EtcdError> {
        loop {
            if let Some(answer) = self.messages.take()? {
                return Ok(answer);
            }
            if let Some(piece) = self.answer.piece().await? {
                self.messages.add(&piece)?;
                continue;
            }
            self.messages.end();
            let last = self.messages.take()?;
            return last.ok_or_else(|| {
                EtcdError::Interrupted("the member has ended the stream".to_owned())
            });
        }
    }
}

fn create_request(keys: &KeyRange, from: u64) -> Bytes {
    let mut create = keys.members();
    create.insert("start_revision".to_owned(), json!(from.to_string()));
    // Without it etcd sends a thousand revisions in one message, whatever their size.
    create.insert("fragment".to_owned(), json!(true));
    let mut line = json!({"create_request": Value::Object(create)}).to_string();
    line.push('\n');
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_begins_at_a_revision_and_takes_large_changes_in_parts() {
        let line = create_request(&KeyRange::prefix("k"), 7);
        let request: Value = serde_json::from_slice(&line).unwrap();
        let expected = json!({"create_request": {
            "key": "aw==", "range_end": "bA==", "start_revision": "7", "fragment": true,
        }});
        assert_eq!(request, expected);
        assert_eq!(line.last(), Some(&b'\n'));
    }
}
