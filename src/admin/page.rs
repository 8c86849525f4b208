//! A rendered response, shared in memory by many connections, that can be revoked from slow readers.
//!
//! A page consists of chunks. A reader takes one after the other, so that its connection holds only a few. When the
//! page is revoked, unfinished readers get an error, and the client sees a truncated message.

use std::{
    io::{self, Write as _},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::BytesMut;
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use thiserror::Error;

use crate::model::Revision;

/// Size of a chunk in bytes: small, since an unread connection holds several of them.
const CHUNK: usize = 16 << 10;

/// Collects written bytes in chunks.
#[derive(Debug, Default)]
pub(super) struct PageWriter {
    chunks: Vec<Bytes>,
    last: BytesMut,
}

/// A rendered response.
#[derive(Debug)]
pub(super) struct Page {
    content_type: &'static str,
    revision: Option<Revision>,
    length: u64,
    // `None` once the page has been revoked. Locked to clone one chunk, never longer.
    chunks: Mutex<Option<Vec<Bytes>>>,
}

/// The body that sends a page to one client.
struct PageBody {
    page: Arc<Page>,
    next: usize,
    left: u64,
}

/// Error of a body whose page was revoked.
#[derive(Debug, Error)]
#[error("the client read too slowly, and its response was dropped to free memory")]
pub(super) struct Revoked;

// === impl PageWriter ===

impl PageWriter {
    /// Appends rendered chunks without copying them.
    fn append(&mut self, rendered: impl IntoIterator<Item = Bytes>) {
        if !self.last.is_empty() {
            self.chunks.push(std::mem::take(&mut self.last).freeze());
        }
        self.chunks.extend(rendered);
    }

    /// The written bytes, in chunks.
    pub(super) fn into_chunks(self) -> Vec<Bytes> {
        let Self { mut chunks, last } = self;
        if !last.is_empty() {
            chunks.push(last.freeze());
        }
        chunks
    }
}

impl io::Write for PageWriter {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len();
        while !bytes.is_empty() {
            if self.last.capacity() == 0 {
                self.last.reserve(CHUNK);
            }
            let now = bytes.len().min(CHUNK - self.last.len());
            self.last.extend_from_slice(&bytes[..now]);
            bytes = &bytes[now..];
            if self.last.len() == CHUNK {
                self.chunks.push(std::mem::take(&mut self.last).freeze());
            }
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl Page ===

impl Page {
    pub(super) fn new(
        content_type: &'static str,
        revision: Option<Revision>,
        writer: PageWriter,
    ) -> Self {
        let chunks = writer.into_chunks();
        let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self {
            content_type,
            revision,
            length,
            chunks: Mutex::new(Some(chunks)),
        }
    }

    /// A JSON document.
    pub(super) fn json(revision: Option<Revision>, document: &impl Serialize) -> Self {
        let mut writer = PageWriter::default();
        serde_json::to_writer(&mut writer, document)
            .expect("types of the API have string keys, and memory takes every byte");
        // Ends the line, so that a shell prompt starts on a new one.
        writer.write_all(b"\n").expect("memory takes every byte");
        Self::new("application/json", revision, writer)
    }

    /// A JSON document whose list `member` is empty, filled with rendered items. No earlier list may have that name.
    pub(super) fn json_around(
        revision: Option<Revision>,
        document: &impl Serialize,
        member: &str,
        items: impl IntoIterator<Item = Bytes>,
    ) -> Self {
        let text = serde_json::to_string(document).expect("types of the API have string keys");
        // Quotes inside a string are escaped with a backslash, so this cannot be part of one.
        let list = format!("\"{member}\":[]");
        let place = text.find(&list).expect("the document has this list, empty");
        let (before, after) = text.split_at(place + list.len() - 1);
        let mut writer = PageWriter::default();
        let write = |text: &str, writer: &mut PageWriter| {
            let written = writer.write_all(text.as_bytes());
            written.expect("memory takes every byte");
        };
        write(before, &mut writer);
        writer.append(items);
        write(after, &mut writer);
        write("\n", &mut writer);
        Self::new("application/json", revision, writer)
    }

    /// The revision that the page shows.
    pub(super) fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// Frees the memory. Unfinished readers are cut off.
    pub(super) fn revoke(&self) {
        *self.chunks.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    #[cfg(test)]
    pub(super) fn is_revoked(&self) -> bool {
        self.chunk(0).is_err()
    }

    fn chunk(&self, place: usize) -> Result<Option<Bytes>, Revoked> {
        let chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let chunks = chunks.as_ref().ok_or(Revoked)?;
        Ok(chunks.get(place).cloned())
    }

    /// A response with the page as body.
    pub(super) fn response(self: Arc<Self>) -> Response {
        let (content_type, revision) = (self.content_type, self.revision);
        let body = PageBody {
            left: self.length,
            page: self,
            next: 0,
        };
        let fields = [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let mut response = (fields, Body::new(body)).into_response();
        if let Some(revision) = revision {
            response.headers_mut().insert(header::ETAG, tag(revision));
        }
        response
    }
}

/// A revision as an `ETag`.
pub(super) fn tag(revision: Revision) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{revision}\"")).expect("digits in quotes are a header value")
}

// === impl PageBody ===

impl hyper::body::Body for PageBody {
    type Data = Bytes;
    type Error = Revoked;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Revoked>>> {
        let chunk = match self.page.chunk(self.next) {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Poll::Ready(None),
            Err(revoked) => return Poll::Ready(Some(Err(revoked))),
        };
        self.next += 1;
        self.left -= chunk.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{HttpBody as _, to_bytes};
    use http_body_util::BodyExt as _;

    use super::*;

    fn page(length: usize) -> (Arc<Page>, Vec<u8>) {
        let text: Vec<u8> = (0..length)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        let mut writer = PageWriter::default();
        for piece in text.chunks(1_000) {
            writer.write_all(piece).unwrap();
        }
        let page = Page::new("text/plain", Some(Revision(7)), writer);
        (Arc::new(page), text)
    }

    #[tokio::test]
    async fn every_reader_gets_the_whole_page_from_the_same_memory() {
        for length in [0, 1, CHUNK, CHUNK + 1, 5 * CHUNK + 17] {
            let (page, text) = page(length);
            for _ in 0..2 {
                let response = Arc::clone(&page).response();
                assert_eq!(response.headers()[header::ETAG], "\"7\"");
                let body = response.into_body();
                assert_eq!(body.size_hint().exact(), Some(length as u64));
                assert_eq!(to_bytes(body, usize::MAX).await.unwrap(), text);
            }
        }
    }

    #[tokio::test]
    async fn rendered_items_stand_in_the_list_that_was_left_empty() {
        let message = r#""list":[] \"list\":[]"#;
        let document = serde_json::json!({ "a": message, "list": [], "z": { "list": [] } });
        let items = ["1,", "2"].map(|item| Bytes::from_static(item.as_bytes()));
        let page = Arc::new(Page::json_around(None, &document, "list", items));
        let body = to_bytes(page.response().into_body(), usize::MAX).await;
        let read: serde_json::Value = serde_json::from_slice(&body.unwrap()).unwrap();
        let whole = serde_json::json!({ "a": message, "list": [1, 2], "z": { "list": [] } });
        assert_eq!(read, whole);
    }

    #[tokio::test]
    async fn a_reader_of_a_revoked_page_ends_with_an_error() {
        let (page, _) = page(3 * CHUNK);
        let mut body = Arc::clone(&page).response().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        page.revoke();
        assert!(body.frame().await.unwrap().is_err());
    }
}
