//! One `POST` to another server (a hook, a Prometheus, a collector).

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::{
    http_answer::HttpAnswer,
    http_body::RequestBody,
    http_connection::HttpError,
    http_exchange::{Exchange, exchange},
    tls_client::ClientTls,
};
use crate::model::HookUrl;

/// A request.
pub struct Post<'a> {
    /// The URL.
    pub url: &'a HookUrl,
    /// TLS; `None` for plain HTTP.
    pub tls: Option<&'a Arc<ClientTls>>,
    /// Type of the body, in `Content-Type`.
    pub content_type: &'static str,
    /// Type of the answer, in `Accept`.
    pub accept: &'static str,
    /// More fields.
    pub fields: Vec<(&'a str, String)>,
    /// The body.
    pub body: Bytes,
}

impl fmt::Debug for Post<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Post");
        shown.field("url", self.url).finish_non_exhaustive()
    }
}

/// Posts, and returns the body of the answer, up to `most` bytes; with 0 it is not read. The caller sets the deadline.
///
/// # Errors
/// If the server cannot be reached or does not answer with a success.
pub async fn post(post: Post<'_>, most: usize) -> Result<Vec<u8>, HttpError> {
    let mut fields = post.fields;
    fields.push(("content-type", post.content_type.to_owned()));
    fields.push(("accept", post.accept.to_owned()));
    let asked = Exchange {
        method: "POST",
        url: post.url,
        tls: post.tls,
        fields,
        body: RequestBody::Whole(post.body),
    };
    read(exchange(asked).await?, most).await
}

async fn read(answer: HttpAnswer, most: usize) -> Result<Vec<u8>, HttpError> {
    if !(200..300).contains(&answer.status()) {
        return Err(HttpError::Status {
            status: answer.status(),
            retry_after: answer.retry_after(),
        });
    }
    if most == 0 {
        return Ok(Vec::new());
    }
    answer.whole(most).await
}
