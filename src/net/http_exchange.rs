//! One HTTP/1.1 exchange of the control plane with another server, on a connection of its own. Redirects are not followed.

use std::{fmt, sync::Arc};

use hyper::{
    Request, Uri,
    header::{self, HeaderValue},
};

use super::{
    http_answer::HttpAnswer,
    http_body::RequestBody,
    http_connection::{HttpConnection, HttpError},
    tls_client::ClientTls,
};
use crate::model::HookUrl;

/// Name in `User-Agent`.
const USER_AGENT: &str = concat!("switchback/", env!("CARGO_PKG_VERSION"));

/// A request.
pub struct Exchange<'a> {
    /// The method.
    pub method: &'a str,
    /// The URL.
    pub url: &'a HookUrl,
    /// TLS; `None` for plain HTTP.
    pub tls: Option<&'a Arc<ClientTls>>,
    /// Fields beside `Host`, `User-Agent` and `Connection`.
    pub fields: Vec<(&'a str, String)>,
    /// The body.
    pub body: RequestBody,
}

/// Sends a request, and waits for the head of the answer, whatever its status. The caller sets the deadline.
///
/// # Errors
/// If the server cannot be reached or does not answer.
pub async fn exchange(asked: Exchange<'_>) -> Result<HttpAnswer, HttpError> {
    let (url, tls) = (asked.url, asked.tls);
    let request = request(asked)?;
    let mut connection = HttpConnection::open(url, tls).await?;
    let response = connection.send(request).await?;
    Ok(HttpAnswer::new(response, connection))
}

fn request(asked: Exchange<'_>) -> Result<Request<RequestBody>, HttpError> {
    let url = asked.url;
    let target: Uri = url.target().parse().map_err(|_| HttpError::unwritable())?;
    let mut builder = Request::builder()
        .method(asked.method)
        .uri(target)
        .header(header::HOST, url.origin().authority())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close");
    for (name, value) in asked.fields {
        let value = HeaderValue::try_from(value).map_err(|_| HttpError::unwritable())?;
        builder = builder.header(name, value);
    }
    builder
        .body(asked.body)
        .map_err(|_| HttpError::unwritable())
}

impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Exchange");
        shown.field("url", self.url).finish_non_exhaustive()
    }
}
