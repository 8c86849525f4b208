//! A thin client of the admin API.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use hyper_util::{client::legacy::Client as HttpClient, rt::TokioExecutor};
use serde::de::DeserializeOwned;

use super::{
    admin_url::AdminUrl,
    connector::Connector,
    exit::{Exit, Failure},
};
use crate::{model::Revision, net::ClientTlsSettings, telemetry::ErrorChain};

pub(super) use super::api_request::ApiRequest;

/// Timeout for connecting.
const CONNECT: Duration = Duration::from_secs(3);

/// Timeout for a whole request. The server bounds the longest change far below.
const WHOLE: Duration = Duration::from_secs(30);

/// Timeout for a file.
const DOWNLOAD: Duration = Duration::from_secs(300);

/// Media type of a file.
const OCTETS: &str = "application/octet-stream";

/// Largest response that is read.
const LARGEST: usize = 256 << 20;

// Error of `rustls` for a server certificate that is a CA certificate.
const AUTHORITY_AS_SERVER: &str = "CaUsedAsEndEntity";

/// Client of one admin API.
pub(super) struct Client {
    url: AdminUrl,
    token: Option<HeaderValue>,
    http: HttpClient<Connector, Full<Bytes>>,
}

/// A response with its revision.
pub(super) struct ApiResponse {
    /// The body.
    pub(super) body: Vec<u8>,
    /// The revision in `ETag`.
    pub(super) revision: Option<Revision>,
    /// True if the request was made with `force`.
    pub(super) is_forced: bool,
    /// True if the request waits for the fleet.
    pub(super) is_of_fleet: bool,
}

impl Client {
    pub(super) fn new(
        url: AdminUrl,
        token: Option<&str>,
        tls: &ClientTlsSettings,
    ) -> Result<Self, Failure> {
        let token = token.map(|token| HeaderValue::from_str(&format!("Bearer {token}")));
        let mut token = token.transpose().map_err(|_| {
            Failure::new(
                Exit::Usage,
                "the token cannot be sent: it is not one line of ASCII",
            )
        })?;
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        let connector = Connector::new(url.is_tls().then_some(tls), CONNECT)?;
        let http = HttpClient::builder(TokioExecutor::new()).build(connector);
        Ok(Self { url, token, http })
    }

    /// Sends a request for something that may not exist.
    pub(super) async fn find(&self, ask: ApiRequest) -> Result<Option<ApiResponse>, Failure> {
        match self.send(ask).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.is_unknown() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Sends a request and waits for its response; any status but 2xx is a failure.
    pub(super) async fn send(&self, ask: ApiRequest) -> Result<ApiResponse, Failure> {
        let most = WHOLE + ask.wait;
        let (also, can_wait) = (ask.also, ask.can_wait);
        let has = |text: &str| ask.query.iter().any(|argument| argument == text);
        let (is_forced, is_of_fleet) = (has("force=true"), has("wait=fleet"));
        let waits = ask.query.iter().filter(|one| one.starts_with("wait="));
        if waits.count() > 1 {
            let message = "a change waits for health (`--wait`) or for the fleet (`--wait-fleet`)";
            return Err(Failure::new(Exit::Usage, message));
        }
        let exchange = async {
            let response = self
                .http
                .request(self.request(ask)?)
                .await
                .map_err(|error| self.unreachable(&error))?;
            let (status, revision) = (response.status(), tag(response.headers()));
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            let body = body
                .map_err(|error| self.broken(&*error))?
                .to_bytes()
                .to_vec();
            let response = ApiResponse {
                body,
                revision,
                is_forced,
                is_of_fleet,
            };
            self.checked(status, also, response)
        };
        let sent = tokio::time::timeout(most, exchange).await;
        let sent = sent.unwrap_or_else(|_| {
            let message = format!("{} did not respond within {} s", self.url, most.as_secs());
            Err(Failure::new(Exit::Unreachable, message))
        });
        sent.map_err(|failure| failure.hinting_at_wait(can_wait))
    }

    /// Sends a request whose response is a file.
    pub(super) async fn download(&self, ask: ApiRequest) -> Result<Vec<u8>, Failure> {
        let exchange = async {
            let response = self.http.request(self.request(ask)?).await;
            let response = response.map_err(|error| self.unreachable(&error))?;
            let (status, kind) = (
                response.status(),
                response.headers().get(header::CONTENT_TYPE),
            );
            let is_file = status.is_success() && kind.is_some_and(|kind| kind == OCTETS);
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            let body = body.map_err(|error| self.broken(&*error))?.to_bytes();
            if is_file {
                return Ok(body.to_vec());
            }
            let problem = Failure::problem(status.as_u16(), &body);
            Err(problem.unwrap_or_else(|| self.no_api(status)))
        };
        let done = tokio::time::timeout(DOWNLOAD, exchange).await;
        done.unwrap_or_else(|_| {
            let message = format!("{} did not respond in {} s", self.url, DOWNLOAD.as_secs());
            Err(Failure::new(Exit::Unreachable, message))
        })
    }

    /// Sends a request whose response does not end.
    pub(super) async fn stream(&self, ask: ApiRequest) -> Result<Incoming, Failure> {
        let exchange = self.http.request(self.request(ask)?);
        let response = tokio::time::timeout(WHOLE, exchange).await;
        let response = response.map_err(|_| {
            let message = format!("{} did not respond within {} s", self.url, WHOLE.as_secs());
            Failure::new(Exit::Unreachable, message)
        })?;
        let response = response.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE);
        if status.is_success() && kind.is_some_and(|kind| kind == "text/event-stream") {
            return Ok(response.into_body());
        }
        let body = Limited::new(response.into_body(), LARGEST).collect();
        let body = tokio::time::timeout(WHOLE, body).await;
        let body = body.ok().and_then(Result::ok).map(Collected::to_bytes);
        let problem = body.and_then(|body| Failure::problem(status.as_u16(), &body));
        Err(problem.unwrap_or_else(|| self.no_api(status)))
    }

    fn request(&self, ask: ApiRequest) -> Result<Request<Full<Bytes>>, Failure> {
        let mut target = format!("{}{}", self.url, ask.path);
        if !ask.query.is_empty() {
            target = format!("{target}?{}", ask.query.join("&"));
        }
        let mut request = Request::builder().method(ask.method).uri(target);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Some(revision) = ask.based_on {
            request = request.header(header::IF_MATCH, format!("\"{revision}\""));
        }
        if let Some(id) = ask.after {
            request = request.header("last-event-id", id);
        }
        if ask.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::from(ask.body.unwrap_or_default()))
            .map_err(|error| Failure::new(Exit::Usage, error.to_string()))
    }

    fn checked(
        &self,
        status: StatusCode,
        also: Option<StatusCode>,
        answer: ApiResponse,
    ) -> Result<ApiResponse, Failure> {
        if let Some(problem) = Failure::problem(status.as_u16(), &answer.body) {
            return Err(problem);
        }
        let is_answer = status.is_success() || also == Some(status);
        if is_answer && answer.body.first() == Some(&b'{') {
            return Ok(answer);
        }
        Err(self.no_api(status))
    }

    /// Failure for a server that is not the admin API, such as the proxy's own port.
    fn no_api(&self, status: StatusCode) -> Failure {
        let message = format!(
            "{} is not an admin API: status {status}, but not in switchback's format\nhint: set `--admin URL` to the address of `[admin]` in the configuration, not to that of a listener",
            self.url
        );
        Failure::new(Exit::Unreachable, message)
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        let mut failure = self.broken(error);
        if failure.message.contains(AUTHORITY_AS_SERVER) {
            failure.message.push_str(
                "\nhint: that is a CA certificate (`CA:TRUE`), which a server may use only if it is also the one in \
                 `--ca-file FILE`",
            );
            return failure;
        }
        failure
            .message
            .push_str("\nhint: is switchback running? set its address with `--admin URL`");
        if self.url.is_tls() {
            failure
                .message
                .push_str(", and the CA of its certificate with `--ca-file FILE`");
        }
        failure
    }

    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        let cause = error
            .source()
            .map(|cause| format!(": {}", ErrorChain(cause)));
        let message = format!(
            "{} cannot be reached{}",
            self.url,
            cause.unwrap_or_default()
        );
        Failure::new(Exit::Unreachable, message)
    }
}

fn tag(headers: &header::HeaderMap) -> Option<Revision> {
    let tag = headers.get(header::ETAG)?.to_str().ok()?;
    tag.trim_matches('"').parse().ok().map(Revision)
}

impl ApiResponse {
    /// Parses the body.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| {
            let message = "the response is not from an admin API of this version\nhint: set `--admin URL` to the \
                           address of `[admin]`, not to that of a listener; the command and the server should have the \
                           same version";
            Failure::new(Exit::Unreachable, message)
        })
    }
}
