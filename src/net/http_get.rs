//! One `GET` whose answer is read piece by piece, such as a watch of the API of Kubernetes.

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
pub struct Get<'a> {
    /// The URL.
    pub url: &'a HookUrl,
    /// TLS; `None` for plain HTTP.
    pub tls: Option<&'a Arc<ClientTls>>,
    /// Type of the answer, in `Accept`.
    pub accept: &'static str,
    /// More fields.
    pub fields: Vec<(&'a str, String)>,
}

/// Sends a request, and waits for the head of the answer, whatever its status. The caller sets the deadline.
///
/// # Errors
/// If the server cannot be reached or does not answer.
pub async fn get(get: Get<'_>) -> Result<HttpAnswer, HttpError> {
    let mut fields = get.fields;
    fields.push(("accept", get.accept.to_owned()));
    let asked = Exchange {
        method: "GET",
        url: get.url,
        tls: get.tls,
        fields,
        body: RequestBody::Whole(Bytes::new()),
    };
    exchange(asked).await
}

impl fmt::Debug for Get<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Get");
        shown.field("url", self.url).finish_non_exhaustive()
    }
}
