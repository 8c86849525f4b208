//! Reader of the stream of events.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::{
    client::{ApiRequest, Client},
    exit::{Exit, Failure},
};
use crate::api::Event;

/// Time without a byte after which the connection is lost: the server sends a comment every 10 seconds.
const SILENCE: Duration = Duration::from_secs(25);
/// Longest event that is read.
const LONGEST: usize = 1 << 20;

/// Events as they come.
pub(super) struct EventStream {
    body: Incoming,
    frames: FrameBuffer,
}

/// Bytes of a stream of server-sent events that are not read yet.
#[derive(Debug, Default)]
struct FrameBuffer(Vec<u8>);

impl EventStream {
    /// Connects: behind the event with this id, or else with so many of the last events.
    pub(super) async fn open(
        client: &Client,
        after: Option<&str>,
        last: u16,
    ) -> Result<Self, Failure> {
        let ask = ApiRequest::get("/v1/events").argument("last", last);
        Ok(Self {
            body: client.stream(ask.after_event(after)).await?,
            frames: FrameBuffer::default(),
        })
    }

    /// The next event; `None` if the stream has ended. Not cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            while let Some(block) = self.frames.take() {
                if let Some(event) = parsed(&block)? {
                    return Ok(Some(event));
                }
            }
            match self.bytes().await? {
                Some(bytes) => self.frames.add(&bytes)?,
                None => return Ok(None),
            }
        }
    }

    async fn bytes(&mut self) -> Result<Option<Bytes>, Failure> {
        let lost = |why: &str| {
            Failure::new(
                Exit::Unreachable,
                format!("the stream of events is lost: {why}"),
            )
        };
        let frame = tokio::time::timeout(SILENCE, self.body.frame());
        match frame.await {
            Err(_) => Err(lost("nothing came for 25 s")),
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) => Err(lost(&error.to_string())),
            Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
        }
    }
}

impl FrameBuffer {
    fn add(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.extend_from_slice(bytes);
        if self.0.len() > LONGEST {
            return Err(Failure::new(Exit::Unreachable, "an event is too long"));
        }
        Ok(())
    }

    /// The first block that is whole.
    fn take(&mut self) -> Option<String> {
        let end = self.0.windows(2).position(|pair| pair == b"\n\n")?;
        let block: Vec<u8> = self.0.drain(..end + 2).collect();
        Some(String::from_utf8_lossy(&block).into_owned())
    }
}

/// The event of a block; `None` if it is a comment.
fn parsed(block: &str) -> Result<Option<Event>, Failure> {
    let data = block.lines().find_map(|line| line.strip_prefix("data: "));
    let event = data.map(serde_json::from_str);
    event.transpose().map_err(|_| {
        let message = "an event is not of this version\nhint: the command and the server should have the same version";
        Failure::new(Exit::Unreachable, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_whatever_the_pieces_and_comments_are_skipped() {
        let text = ": connected\n\nid: a-0\nevent: gap\ndata: {\"id\":\"a-0\",\"at\":\"2026-11-20T13:50:00.000000Z\",\"type\":\"gap\"}\n\n";
        for piece in 1..text.len() {
            let mut frames = FrameBuffer::default();
            let mut ids = Vec::new();
            for bytes in text.as_bytes().chunks(piece) {
                frames.add(bytes).unwrap();
                while let Some(block) = frames.take() {
                    ids.extend(parsed(&block).unwrap().map(|event| event.id));
                }
            }
            assert_eq!(ids, ["a-0"], "pieces of {piece}");
        }
        assert!(parsed("data: {}").is_err());
        assert!(FrameBuffer::default().add(&vec![0; LONGEST + 1]).is_err());
    }
}
