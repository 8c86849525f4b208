//! API server of a cluster: lists and watches of the `EndpointSlice` objects of a Service.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    error::ApiError,
    service_port::ServiceName,
    slice::{Slice, SliceObject},
    slice_set::{SliceSet, TooMany},
    watch_event::{WatchEvent, message_of},
};
use crate::{
    config::Kubernetes,
    model::{HookUrl, Problem, Scheme},
    net::{ClientTls, ClientTlsSettings, Get, HttpAnswer, Lines, get},
};

/// Slices in a page of a list.
const PAGE: usize = 100;
/// Most pages of a list: what is larger has too many slices.
const MOST_PAGES: usize = 20;
/// Largest page: a slice has a thousand endpoints at most, of some hundred bytes each.
const LARGEST_PAGE: usize = 64 << 20;
/// Longest line of a watch: one slice.
const LONGEST_LINE: usize = 4 << 20;
/// Largest body of a refusal that is read.
const LARGEST_REFUSAL: usize = 64 << 10;
/// Largest token that is sent.
const LARGEST_TOKEN: usize = 16 << 10;

/// API server of a cluster.
#[derive(Debug)]
pub struct ApiServer {
    url: HookUrl,
    token_file: PathBuf,
    ca: PathBuf,
    cluster_domain: Box<str>,
    timeout: Duration,
}

/// Watch that was opened.
#[derive(Debug)]
pub(super) struct WatchStream {
    answer: HttpAnswer,
    lines: Lines,
}

#[derive(Deserialize)]
struct Page {
    metadata: PageMetadata,
    items: Option<Vec<SliceObject>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
}

// === impl ApiServer ===

impl ApiServer {
    /// The API server of these settings. `variable` reads the environment, in which a pod finds its address.
    ///
    /// # Errors
    /// If there is no address.
    pub fn new(
        settings: &Kubernetes,
        timeout: Duration,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Problem> {
        let url = match &settings.url {
            Some(url) => url.clone(),
            None => url_of_environment(variable)?,
        };
        Ok(Self {
            url,
            token_file: settings.token_file.clone(),
            ca: settings.ca.clone(),
            cluster_domain: settings.cluster_domain.as_str().into(),
            timeout,
        })
    }

    /// Domain of the cluster's Services.
    pub(super) fn cluster_domain(&self) -> &str {
        &self.cluster_domain
    }

    /// All slices of a Service.
    ///
    /// # Errors
    /// If they cannot be had. The error is [`ApiError::Expired`] if they have changed too much between two pages.
    pub(super) async fn list(&self, service: &ServiceName) -> Result<SliceSet, ApiError> {
        let (mut slices, mut next) = (Vec::new(), String::new());
        for _ in 0..MOST_PAGES {
            let mut query = format!("limit={PAGE}");
            if !next.is_empty() {
                query = format!("{query}&continue={}", encoded(&next));
            }
            let page = timeout(self.timeout, self.page(service, &query)).await;
            let page = page.map_err(|_| ApiError::TimedOut(self.timeout))??;
            slices.extend(page.items.into_iter().flatten().map(Slice::from));
            next = page.metadata.next;
            if next.is_empty() {
                let set = SliceSet::listed(slices, &page.metadata.resource_version);
                return set.map_err(|TooMany| ApiError::TooMany);
            }
        }
        Err(ApiError::TooMany)
    }

    async fn page(&self, service: &ServiceName, query: &str) -> Result<Page, ApiError> {
        let answer = self.ask(service, query).await?;
        let body = answer.whole(LARGEST_PAGE).await?;
        serde_json::from_slice(&body).map_err(|error| ApiError::Malformed(error.to_string()))
    }

    /// Opens a watch, from a version on and for some seconds.
    ///
    /// # Errors
    /// If it is not opened.
    pub(super) async fn watch(
        &self,
        service: &ServiceName,
        version: &str,
        seconds: u64,
    ) -> Result<WatchStream, ApiError> {
        let query = format!(
            "watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={seconds}",
            encoded(version)
        );
        let opened = timeout(self.timeout, self.ask(service, &query)).await;
        Ok(WatchStream {
            answer: opened.map_err(|_| ApiError::TimedOut(self.timeout))??,
            lines: Lines::up_to(LONGEST_LINE),
        })
    }

    /// Sends a request. Token and authorities are read each time: a cluster replaces both.
    async fn ask(&self, service: &ServiceName, query: &str) -> Result<HttpAnswer, ApiError> {
        let (token_file, ca, scheme) = (
            self.token_file.clone(),
            self.ca.clone(),
            self.url.origin().scheme(),
        );
        let read = move || Ok::<_, ApiError>((token(token_file)?, tls(ca, scheme)?));
        let read = tokio::task::spawn_blocking(read).await;
        let (token, tls) = read.map_err(|error| ApiError::Malformed(error.to_string()))??;
        let path = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector={}&{query}",
            service.namespace(),
            encoded(&format!("kubernetes.io/service-name={}", service.name())),
        );
        let request = Get {
            url: &self.url.under(&path),
            tls: tls.as_ref(),
            accept: "application/json",
            fields: vec![("authorization", format!("Bearer {token}"))],
        };
        let answer = get(request).await?;
        if answer.status() == 200 {
            return Ok(answer);
        }
        let (status, retry_after) = (answer.status(), answer.retry_after());
        // Its absence says nothing more than the status.
        let reason = answer.whole(LARGEST_REFUSAL).await.unwrap_or_default();
        Err(ApiError::of_status(
            status,
            message_of(&reason),
            retry_after,
        ))
    }
}

// === impl WatchStream ===

impl WatchStream {
    /// The next event; `None` if the API server has ended the watch. What comes before a cut in a line is not lost, since
    /// the next watch begins after the last whole event.
    ///
    /// # Errors
    /// If the stream breaks, or the API server reports an error.
    pub(super) async fn next(&mut self) -> Result<Option<WatchEvent>, ApiError> {
        loop {
            if let Some(line) = self.lines.take() {
                return WatchEvent::read(&line).map(Some);
            }
            let Some(piece) = self.answer.piece().await? else {
                return Ok(None);
            };
            self.lines.add(&piece)?;
        }
    }
}

fn url_of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<HookUrl, Problem> {
    let part = |name| variable(name).filter(|text| !text.is_empty());
    let host = part("KUBERNETES_SERVICE_HOST");
    let port = part("KUBERNETES_SERVICE_PORT");
    let url = host.zip(port).and_then(|(host, port)| {
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        };
        format!("https://{host}:{port}").parse().ok()
    });
    url.ok_or_else(|| {
        let message = "the address of the API server is not known: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set";
        let problem = Problem::new("discovery.kubernetes.url", message);
        problem.hint("in a pod they are; elsewhere give `url = \"https://…\"`, or leave `[discovery.kubernetes]` out")
    })
}

fn token(path: PathBuf) -> Result<String, ApiError> {
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(ApiError::Token { path, source }),
    };
    let token = text.trim();
    let is_field = |byte: u8| byte.is_ascii_graphic();
    if token.is_empty() || token.len() > LARGEST_TOKEN || !token.bytes().all(is_field) {
        let source = std::io::Error::other("it holds no token");
        return Err(ApiError::Token { path, source });
    }
    Ok(token.to_owned())
}

fn tls(ca: PathBuf, scheme: Scheme) -> Result<Option<Arc<ClientTls>>, ApiError> {
    if scheme == Scheme::Http {
        return Ok(None);
    }
    let tls = ClientTls::load(&ClientTlsSettings {
        ca: Some(ca),
        ..ClientTlsSettings::default()
    });
    Ok(Some(Arc::new(tls?)))
}

fn encoded(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(variables: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let server = ApiServer::new(&Kubernetes::default(), Duration::ZERO, variable);
        let server = server.map_err(|problem| problem.to_string())?;
        Ok(server.url.origin().to_string())
    }

    #[test]
    fn a_pod_finds_the_api_server_in_its_environment() {
        let (host, port) = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT");
        assert_eq!(
            url(&[(host, "10.96.0.1"), (port, "443")]).unwrap(),
            "https://10.96.0.1:443"
        );
        assert_eq!(
            url(&[(host, "fd00::1"), (port, "6443")]).unwrap(),
            "https://[fd00::1]:6443"
        );
        let error = url(&[(host, "10.96.0.1"), (port, "")]).unwrap_err();
        assert!(error.contains("discovery.kubernetes.url") && error.contains("hint"));
    }
}
