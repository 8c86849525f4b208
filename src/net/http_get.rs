//! One `GET` whose answer is read piece by piece, such as a watch of the API of Kubernetes, on a connection of its own.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming};

use super::{
    http_exchange::{HttpConnection, HttpError, head, retry_after},
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

/// Answer with a body that is still to be read; the connection ends with it.
pub struct HttpAnswer {
    response: Response<Incoming>,
    // Held: it drives the connection.
    _connection: HttpConnection,
}

/// Sends a request, and waits for the head of the answer, whatever its status. The caller sets the deadline.
///
/// # Errors
/// If the server cannot be reached or does not answer.
pub async fn get(get: Get<'_>) -> Result<HttpAnswer, HttpError> {
    let mut connection = HttpConnection::open(get.url, get.tls).await?;
    let builder = Request::builder().method("GET");
    let request = head(builder, get.url, get.accept, get.fields)?.body(Full::new(Bytes::new()));
    let response = connection
        .send(request.map_err(|_| HttpError::unwritable())?)
        .await?;
    Ok(HttpAnswer {
        response,
        _connection: connection,
    })
}

impl HttpAnswer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Time after which the server wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.response.headers())
    }

    /// The next piece of the body; `None` at its end. Cancel-safe.
    ///
    /// # Errors
    /// If the body is cut off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, HttpError> {
        while let Some(frame) = self.response.body_mut().frame().await {
            let frame = frame.map_err(|error| HttpError::of_step("body", &error))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The whole body, up to `most` bytes.
    ///
    /// # Errors
    /// If it is cut off or larger.
    pub async fn whole(mut self, most: usize) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await? {
            if body.len() + piece.len() > most {
                return Err(HttpError::Large(most));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

impl fmt::Debug for Get<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Get");
        shown.field("url", self.url).finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("HttpAnswer");
        shown
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
