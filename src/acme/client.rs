//! HTTP towards a directory: one request on a connection of its own, with a timeout, and the pause that an answer asks for.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::{
    Request, Response, StatusCode,
    header::{self, HeaderMap},
};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::time::timeout;

use crate::{
    model::{HookUrl, Scheme},
    net::{ClientTls, Exchange, HttpError, RequestBody, exchange},
};

/// Timeout for one exchange, from the look-up of the name to the last byte.
const EXCHANGE: Duration = Duration::from_secs(30);
/// Largest answer.
const LARGEST: usize = 1 << 20;

/// Client for one order.
#[derive(Clone)]
pub(super) struct AcmeClient {
    tls: Arc<ClientTls>,
    asked: Arc<Mutex<Option<u64>>>,
}

/// The error of an exchange.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ExchangeError(String);

/// A request of the library, or one that needs no account.
struct Asked<'a> {
    method: &'a str,
    url: &'a str,
    fields: Vec<(&'a str, String)>,
    body: Bytes,
}

impl From<HttpError> for ExchangeError {
    fn from(error: HttpError) -> Self {
        Self(error.to_string())
    }
}

impl AcmeClient {
    pub(super) fn new(tls: Arc<ClientTls>) -> Self {
        Self {
            tls,
            asked: Arc::default(),
        }
    }

    /// Seconds that the last answer asked to wait, once.
    pub(super) fn asked(&self) -> Option<u64> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.take()
    }

    /// Gets a document that needs no account.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(super) async fn get(&self, url: &str) -> Result<Bytes, ExchangeError> {
        let asked = Asked {
            method: "GET",
            url,
            fields: Vec::new(),
            body: Bytes::new(),
        };
        let response = self.exchange(asked).await?;
        if !response.status().is_success() {
            return Err(ExchangeError(format!(
                "the directory answers {}",
                response.status()
            )));
        }
        let body = response.into_body().collect().await;
        Ok(body.map(Collected::to_bytes).unwrap_or_default())
    }

    async fn exchange(&self, asked: Asked<'_>) -> Result<Response<Full<Bytes>>, ExchangeError> {
        let response = timeout(EXCHANGE, self.exchange_in_time(asked)).await;
        response.unwrap_or_else(|_| {
            Err(ExchangeError(
                "the directory does not answer in time".into(),
            ))
        })
    }

    async fn exchange_in_time(
        &self,
        asked: Asked<'_>,
    ) -> Result<Response<Full<Bytes>>, ExchangeError> {
        let url = of_directory(asked.url)?;
        let answer = exchange(Exchange {
            method: asked.method,
            url: &url,
            tls: Some(&self.tls),
            fields: asked.fields,
            body: RequestBody::Whole(asked.body),
        });
        let answer = answer.await?;
        let (status, fields) = (answer.status(), answer.headers().clone());
        let pause = answer.retry_after().map(|pause| pause.as_secs());
        let body = answer.whole(LARGEST).await?;
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = pause;
        let mut response = Response::new(Full::from(body));
        *response.status_mut() =
            StatusCode::from_u16(status).map_err(|error| ExchangeError(error.to_string()))?;
        *response.headers_mut() = fields;
        Ok(response)
    }
}

impl HttpClient for AcmeClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await;
            let asked = Asked {
                method: head.method.as_str(),
                url: &head.uri.to_string(),
                fields: fields(&head.headers),
                body: body.map(Collected::to_bytes).map_err(other)?,
            };
            let response = client.exchange(asked).await;
            response.map(BytesResponse::from).map_err(other)
        })
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}

/// The URL of a directory, which has `https` only.
fn of_directory(text: &str) -> Result<HookUrl, ExchangeError> {
    let url = text.parse::<HookUrl>().ok();
    let url = url.filter(|url| url.origin().scheme() == Scheme::Https);
    url.ok_or_else(|| ExchangeError(format!("`{text}` is no URL with https")))
}

/// The fields of the library, but for those that a connection of ours has anyway.
fn fields(fields: &HeaderMap) -> Vec<(&str, String)> {
    let ours = [header::HOST, header::USER_AGENT, header::CONNECTION];
    let theirs = fields.iter().filter(|(name, _)| !ours.contains(name));
    let theirs = theirs.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.as_str(), value.into_owned())
    });
    theirs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_reached_by_https_alone() {
        let of = |text: &str| of_directory(text).ok().map(|url| url.origin().to_string());
        let expected = |text: &str| Some(text.to_owned());
        assert_eq!(of("https://a.test/dir"), expected("https://a.test:443"));
        assert_eq!(
            of("https://[::1]:14000/dir"),
            expected("https://[::1]:14000")
        );
        assert_eq!(of("http://a.test/dir"), None);
        assert_eq!(of("/dir"), None);
    }
}
