//! A thin client of the admin API.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use hyper_util::{client::legacy::Client as HttpClient, rt::TokioExecutor};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    admin_url::AdminUrl,
    connector::Connector,
    exit::{Exit, Failure},
    options::{ChangeArgs, GroupArgs, HealthArgs},
};
use crate::{
    model::{HumanDuration, Revision},
    net::ClientTlsSettings,
    telemetry::ErrorChain,
};

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

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

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
}

/// A request.
pub(super) struct ApiRequest {
    method: Method,
    path: String,
    query: Vec<String>,
    body: Option<Vec<u8>>,
    based_on: Option<Revision>,
    // Additional time, on top of the timeout.
    wait: Duration,
    // A status besides 2xx that brings the answer.
    also: Option<StatusCode>,
    // The id of the event that a stream goes on behind.
    after: Option<String>,
    can_wait: bool,
}

impl ApiRequest {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::of(Method::GET, path)
    }

    pub(super) fn of(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            based_on: None,
            wait: Duration::ZERO,
            also: None,
            after: None,
            can_wait: false,
        }
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).expect("types of the API have string keys"));
        self
    }

    /// Goes on behind an event.
    pub(super) fn after_event(mut self, id: Option<&str>) -> Self {
        self.after = id.map(ToOwned::to_owned);
        self
    }

    /// Adds the options of a change, except the message: some requests have it in the body, others in the query.
    pub(super) fn options(self, change: &ChangeArgs) -> Self {
        let ask = match &change.common.message {
            Some(message) => self.argument("message", message),
            None => self,
        };
        ask.dry_run(change.common.dry_run).group(&change.group)
    }

    pub(super) fn dry_run(self, dry_run: bool) -> Self {
        if dry_run {
            self.argument("dry_run", true)
        } else {
            self
        }
    }

    /// Adds the group of the change.
    pub(super) fn group(self, group: &GroupArgs) -> Self {
        match &group.name {
            Some(name) => self.argument("group", name),
            None => self,
        }
    }

    /// Adds the health options of a change that may give more to a release.
    pub(super) fn health(mut self, health: &HealthArgs) -> Self {
        if let Some(wait) = health.wait {
            self = self.argument("wait", wait);
            self.wait = wait.0;
        }
        self.can_wait = true;
        self.force(health.force)
    }

    /// Has the answer come once it is so far, or as it is when the time is over.
    pub(super) fn waiting_for(mut self, state: &str, longest: Duration) -> Self {
        self.wait = longest;
        self.also = Some(StatusCode::GATEWAY_TIMEOUT);
        self.argument("wait", state)
            .argument("timeout", HumanDuration(longest))
    }

    /// Adds the permission to proceed although a release is not ready.
    pub(super) fn force(self, force: bool) -> Self {
        if force {
            self.argument("force", true)
        } else {
            self
        }
    }

    /// Adds the order to end at once what is in flight on releases that leave.
    pub(super) fn cut(self, cut: bool) -> Self {
        if cut {
            self.argument("cut", true)
        } else {
            self
        }
    }

    /// Adds a query argument; names and values are plain ASCII or numbers.
    pub(super) fn argument(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.query
            .push(format!("{name}={}", escaped(&value.to_string())));
        self
    }

    pub(super) fn based_on(mut self, revision: Option<Revision>) -> Self {
        self.based_on = revision;
        self
    }
}

/// Percent-encodes a query value.
fn escaped(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, RESERVED)
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
        let is_forced = ask.query.iter().any(|argument| argument == "force=true");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_escaped_in_a_query() {
        assert_eq!(escaped("a b&c=ü-._~").to_string(), "a%20b%26c%3D%C3%BC-._~");
    }
}
