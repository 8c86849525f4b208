//! Services of a cluster as the hosts of endpoints name them: `chat.agents.svc.cluster.local`, or
//! `_http._tcp.chat.agents.svc` for the port of that name.

use std::fmt;

use crate::model::EndpointUrl;

/// Longest label of a DNS name.
const LONGEST_LABEL: usize = 63;

/// Namespace and name of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServiceName {
    namespace: Box<str>,
    name: Box<str>,
}

/// Port of the pods of a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServicePort<'a> {
    /// A number, which is that of the pods.
    Number(u16),
    /// The name of a port of the Service; its number may differ from pod to pod.
    Name(&'a str),
}

impl ServiceName {
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The Service that a URL names, and its port; `None` if its host is another name.
pub(super) fn service_of<'a>(
    url: &'a EndpointUrl,
    cluster_domain: &str,
) -> Option<(ServiceName, ServicePort<'a>)> {
    let host = url.host();
    let host = host.strip_suffix('.').unwrap_or(host);
    let in_cluster = host
        .strip_suffix(cluster_domain)
        .and_then(|host| host.strip_suffix('.'));
    let service = in_cluster.unwrap_or(host).strip_suffix(".svc")?;
    let labels: Vec<_> = service.split('.').collect();
    let (port, name, namespace) = match labels[..] {
        [name, namespace] => (ServicePort::Number(url.port()), name, namespace),
        [port, "_tcp", name, namespace] => {
            let port = port.strip_prefix('_').filter(|port| is_label(port))?;
            (ServicePort::Name(port), name, namespace)
        }
        _ => return None,
    };
    (is_label(name) && is_label(namespace)).then(|| {
        let service = ServiceName {
            namespace: namespace.into(),
            name: name.into(),
        };
        (service, port)
    })
}

/// True for what can be the name of a Service, a namespace or a port. Hosts are in lower case.
fn is_label(text: &str) -> bool {
    let within = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty()
        && text.len() <= LONGEST_LABEL
        && text.bytes().all(within)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str) -> Option<String> {
        let url: EndpointUrl = url.parse().unwrap();
        let (service, port) = service_of(&url, "cluster.local")?;
        Some(match port {
            ServicePort::Number(port) => format!("{service} {port}"),
            ServicePort::Name(port) => format!("{service} {port}"),
        })
    }

    #[test]
    fn a_name_under_a_service_names_its_namespace_and_port() {
        for (url, expected) in [
            ("http://chat.agents.svc:9000", "agents/chat 9000"),
            ("https://Chat.Agents.svc.cluster.local", "agents/chat 443"),
            (
                "http://chat.agents.svc.cluster.local.:9000",
                "agents/chat 9000",
            ),
            ("http://_http._tcp.chat.agents.svc", "agents/chat http"),
            (
                "http://_a2a-1._tcp.chat.agents.svc.cluster.local",
                "agents/chat a2a-1",
            ),
        ] {
            assert_eq!(found(url).as_deref(), Some(expected), "{url}");
        }
    }

    #[test]
    fn every_other_name_stays_with_dns() {
        for url in [
            "http://chat:9000",
            "http://chat.agents:9000",
            "http://svc:9000",
            "http://agents.svc:9000",
            "http://chat-0.chat.agents.svc:9000",
            "http://chat.agents.svc.other.local:9000",
            "http://_http._udp.chat.agents.svc",
            "http://http._tcp.chat.agents.svc",
            "http://ch_at.agents.svc",
            "http://chat-.agents.svc",
            "http://chat..svc",
            "http://10.0.0.1:9000",
        ] {
            assert_eq!(found(url), None, "{url}");
        }
    }
}
