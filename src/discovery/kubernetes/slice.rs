//! `EndpointSlice`: the part of its JSON that says which pods take requests.

use std::net::IpAddr;

use serde::Deserialize;

/// Endpoints of a Service in one slice, those that take new requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    /// Its name, unique in the namespace.
    pub(super) name: Box<str>,
    /// The version of the object, which a watch goes on from.
    pub(super) version: Box<str>,
    /// Addresses of endpoints that are ready and do not terminate.
    pub(super) addresses: Vec<IpAddr>,
    /// TCP ports of each of them; `None` for a slice that does not restrict them.
    pub(super) ports: Option<Vec<SlicePort>>,
    /// True if its endpoints are host names, which no pod has and which are not used.
    pub(super) is_of_names: bool,
}

/// A TCP port of the endpoints of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SlicePort {
    /// Its name in the Service; empty for the only one.
    pub(super) name: Box<str>,
    /// Its number on the pods; `None` for all.
    pub(super) number: Option<u16>,
}

/// An `EndpointSlice` as the API server sends it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SliceObject {
    metadata: Metadata,
    #[serde(default)]
    address_type: String,
    endpoints: Option<Vec<EndpointObject>>,
    ports: Option<Vec<PortObject>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Box<str>,
    #[serde(default)]
    resource_version: Box<str>,
}

#[derive(Debug, Deserialize)]
struct EndpointObject {
    #[serde(default)]
    addresses: Vec<Box<str>>,
    conditions: Option<Conditions>,
}

#[derive(Debug, Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct PortObject {
    name: Option<Box<str>>,
    port: Option<u16>,
    protocol: Option<Box<str>>,
}

// === impl Slice ===

impl From<SliceObject> for Slice {
    fn from(object: SliceObject) -> Self {
        let is_of_names = !matches!(&*object.address_type, "IPv4" | "IPv6");
        let endpoints = object.endpoints.unwrap_or_default();
        let usable = endpoints.iter().filter(|one| one.takes_requests());
        // All addresses of one endpoint are the same pod, so its first one stands for it.
        let addresses = usable.filter_map(|one| one.addresses.first()?.parse().ok());
        let ports = object.ports.filter(|ports| !ports.is_empty());
        Self {
            name: object.metadata.name,
            version: object.metadata.resource_version,
            addresses: if is_of_names {
                Vec::new()
            } else {
                addresses.collect()
            },
            ports: ports.map(|ports| ports.into_iter().filter_map(PortObject::tcp).collect()),
            is_of_names,
        }
    }
}

// === impl EndpointObject ===

impl EndpointObject {
    /// A condition that is not known counts as ready. One that terminates finishes what it has, `serving` or not.
    fn takes_requests(&self) -> bool {
        let conditions = self.conditions.as_ref();
        conditions.is_none_or(|is| is.ready != Some(false) && is.terminating != Some(true))
    }
}

// === impl PortObject ===

impl PortObject {
    fn tcp(self) -> Option<SlicePort> {
        let is_tcp = self
            .protocol
            .as_deref()
            .is_none_or(|protocol| protocol.is_empty() || protocol == "TCP");
        is_tcp.then(|| SlicePort {
            name: self.name.unwrap_or_default(),
            number: self.port.filter(|port| *port != 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(address_type: &str, endpoints: &Value, ports: &Value) -> Slice {
        let object = json!({
            "metadata": { "name": "chat-abc", "resourceVersion": "7", "labels": {} },
            "addressType": address_type,
            "endpoints": endpoints,
            "ports": ports,
        });
        serde_json::from_value::<SliceObject>(object)
            .unwrap()
            .into()
    }

    fn shown(slice: &Slice) -> Vec<String> {
        slice.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_what_is_ready_and_does_not_terminate_takes_new_requests() {
        let slice = read(
            "IPv4",
            &json!([
                { "addresses": ["10.0.0.1"], "conditions": { "ready": true, "serving": true, "terminating": false } },
                { "addresses": ["10.0.0.2"], "conditions": { "ready": false, "serving": false } },
                { "addresses": ["10.0.0.3"], "conditions": { "ready": false, "serving": true, "terminating": true } },
                { "addresses": ["10.0.0.4"], "conditions": { "ready": true, "terminating": true } },
                { "addresses": ["10.0.0.5", "10.0.0.6"], "conditions": {} },
                { "addresses": ["10.0.0.7"] },
                { "addresses": ["10.0.0.8"], "conditions": { "ready": null } },
                { "addresses": [] },
                { "addresses": ["no-address"] },
            ]),
            &Value::Null,
        );
        assert_eq!(
            shown(&slice),
            ["10.0.0.1", "10.0.0.5", "10.0.0.7", "10.0.0.8"]
        );
        assert_eq!(slice.ports, None);
    }

    #[test]
    fn addresses_are_of_both_families_and_names_are_none() {
        let of = |kind: &str, address: &str| {
            read(kind, &json!([{ "addresses": [address] }]), &json!([]))
        };
        assert_eq!(shown(&of("IPv6", "2001:db8::1")), ["2001:db8::1"]);
        let names = of("FQDN", "10.0.0.1");
        assert!(names.is_of_names && names.addresses.is_empty());
    }

    #[test]
    fn ports_are_those_of_tcp() {
        let ports = json!([
            { "name": "http", "port": 9000, "protocol": "TCP" },
            { "name": "dns", "port": 53, "protocol": "UDP" },
            { "port": 9001 },
            { "name": null, "port": null },
        ]);
        let slice = read("IPv4", &Value::Null, &ports);
        let shown = |port: &SlicePort| (port.name.to_string(), port.number);
        let shown: Vec<_> = slice.ports.as_ref().unwrap().iter().map(shown).collect();
        let expected = [("http", Some(9000)), ("", Some(9001)), ("", None)];
        assert_eq!(shown, expected.map(|(name, port)| (name.to_owned(), port)));
    }
}
