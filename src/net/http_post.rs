//! One `POST` to another server (a hook, a Prometheus, a collector), over HTTP/1.1 on a connection of its own. Redirects
//! are not followed.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response, body::Incoming, header};

use super::{
    http_exchange::{HttpConnection, HttpError, head, retry_after},
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
    let mut connection = HttpConnection::open(post.url, post.tls).await?;
    let response = connection.send(request(post)?).await?;
    read(response, most).await
}

fn request(post: Post<'_>) -> Result<Request<Full<Bytes>>, HttpError> {
    let builder = head(
        Request::builder().method("POST"),
        post.url,
        post.accept,
        post.fields,
    )?
    .header(header::CONTENT_TYPE, post.content_type);
    let request = builder.body(Full::new(post.body));
    request.map_err(|_| HttpError::unwritable())
}

async fn read(response: Response<Incoming>, most: usize) -> Result<Vec<u8>, HttpError> {
    if !response.status().is_success() {
        return Err(HttpError::Status {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers()),
        });
    }
    if most == 0 {
        return Ok(Vec::new());
    }
    let body = Limited::new(response.into_body(), most).collect().await;
    match body {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(HttpError::Large(most)),
        Err(error) => Err(HttpError::Exchange(format!("body: {error}"))),
    }
}
