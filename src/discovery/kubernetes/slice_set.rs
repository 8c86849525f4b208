//! The `EndpointSlice` objects of one Service, and the endpoints that they come to. No clock, no network.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{
    service_port::ServicePort,
    slice::{Slice, SlicePort},
    watch_event::WatchEvent,
};

/// Most slices of one Service.
const MOST_SLICES: usize = 1_000;
/// Most ready endpoints of one Service.
const MOST_ENDPOINTS: usize = 10_000;

/// Slices of a Service by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SliceSet {
    slices: BTreeMap<Box<str>, Arc<Slice>>,
    /// Version that a watch goes on from.
    version: Box<str>,
}

/// More slices or endpoints than are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

impl SliceSet {
    /// The set of a complete list.
    ///
    /// # Errors
    /// If it is too large.
    pub(super) fn listed(
        slices: impl IntoIterator<Item = Slice>,
        version: &str,
    ) -> Result<Self, TooMany> {
        let slices = slices.into_iter();
        let set = Self {
            slices: slices
                .map(|slice| (slice.name.clone(), Arc::new(slice)))
                .collect(),
            version: version.into(),
        };
        set.is_within_limits().then_some(set).ok_or(TooMany)
    }

    /// Applies what a watch told. Nothing is kept of what makes the set too large.
    ///
    /// # Errors
    /// If it would be too large.
    pub(super) fn apply(&mut self, event: WatchEvent) -> Result<(), TooMany> {
        let version = match event {
            WatchEvent::Bookmark(version) => version,
            WatchEvent::Deleted { name, version } => {
                self.slices.remove(&name);
                version
            }
            WatchEvent::Put(slice) => {
                let (name, version) = (slice.name.clone(), slice.version.clone());
                let before = self.slices.insert(name.clone(), Arc::new(slice));
                if !self.is_within_limits() {
                    match before {
                        Some(before) => self.slices.insert(name, before),
                        None => self.slices.remove(&name),
                    };
                    return Err(TooMany);
                }
                version
            }
        };
        if !version.is_empty() {
            self.version = version;
        }
        Ok(())
    }

    fn is_within_limits(&self) -> bool {
        self.slices.len() <= MOST_SLICES && self.endpoints() <= MOST_ENDPOINTS
    }

    /// The version that a watch goes on from.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Number of endpoints that take new requests, duplicates included.
    pub(super) fn endpoints(&self) -> usize {
        self.slices.values().map(|one| one.addresses.len()).sum()
    }

    /// Names of slices of host names, which are not used.
    pub(super) fn slices_of_names(&self) -> impl Iterator<Item = &str> {
        let slices = self.slices.values().filter(|one| one.is_of_names);
        slices.map(|one| &*one.name)
    }

    /// True if the same endpoints take new requests as in the other set.
    pub(super) fn has_endpoints_of(&self, other: &Self) -> bool {
        self.usable().eq(other.usable())
    }

    /// The parts of the slices that the endpoints follow from.
    fn usable(&self) -> impl Iterator<Item = (&str, &[IpAddr], Option<&[SlicePort]>)> {
        let slices = self.slices.iter();
        slices.map(|(name, one)| (&**name, &*one.addresses, one.ports.as_deref()))
    }

    /// Addresses of all endpoints at a port, in order and each once.
    pub(super) fn addresses(&self, port: ServicePort<'_>) -> BTreeSet<SocketAddr> {
        let at = |one: &Arc<Slice>| -> Vec<SocketAddr> {
            let number = number_in(one.ports.as_deref(), port);
            let addresses = one.addresses.iter();
            number.map_or_else(Vec::new, |number| {
                addresses.map(|ip| SocketAddr::new(*ip, number)).collect()
            })
        };
        let found: BTreeSet<_> = self.slices.values().flat_map(at).collect();
        match port {
            // No slice has that number: it is one that the Service does not list, as it may be with DNS.
            ServicePort::Number(number) if found.is_empty() => {
                let all = self.slices.values().flat_map(|one| &one.addresses);
                all.map(|ip| SocketAddr::new(*ip, number)).collect()
            }
            _ => found,
        }
    }
}

/// Number of a port on the endpoints of a slice.
fn number_in(ports: Option<&[SlicePort]>, port: ServicePort<'_>) -> Option<u16> {
    match (port, ports) {
        (ServicePort::Number(number), None) => Some(number),
        (ServicePort::Number(number), Some(ports)) => {
            let is_it = |one: &SlicePort| one.number.is_none_or(|other| other == number);
            ports.iter().any(is_it).then_some(number)
        }
        (ServicePort::Name(_), None) => None,
        (ServicePort::Name(name), Some(ports)) => {
            ports.iter().find(|one| &*one.name == name)?.number
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slice(name: &str, version: u32, addresses: &[u8], ports: &[(&str, u16)]) -> Slice {
        let port = |(name, number): &(&str, u16)| SlicePort {
            name: (*name).into(),
            number: Some(*number),
        };
        Slice {
            name: name.into(),
            version: version.to_string().into(),
            addresses: addresses
                .iter()
                .map(|last| [10, 0, 0, *last].into())
                .collect(),
            ports: (!ports.is_empty()).then(|| ports.iter().map(port).collect()),
            is_of_names: false,
        }
    }

    fn shown(set: &SliceSet, port: ServicePort<'_>) -> Vec<String> {
        let addresses = set.addresses(port);
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn slices_are_merged_and_what_is_in_two_is_there_once() {
        let http = [("http", 9000)];
        let slices = [slice("b", 1, &[2, 1], &http), slice("a", 2, &[2, 3], &http)];
        let mut set = SliceSet::listed(slices, "5").unwrap();
        let expected = ["10.0.0.1:9000", "10.0.0.2:9000", "10.0.0.3:9000"];
        assert_eq!(shown(&set, ServicePort::Number(9000)), expected);
        set.apply(WatchEvent::Deleted {
            name: "b".into(),
            version: "6".into(),
        })
        .unwrap();
        assert_eq!(shown(&set, ServicePort::Number(9000)), expected[1..]);
        assert_eq!(set.version(), "6");
        set.apply(WatchEvent::Put(slice("a", 7, &[], &http)))
            .unwrap();
        assert!(shown(&set, ServicePort::Number(9000)).is_empty());
        set.apply(WatchEvent::Bookmark("9".into())).unwrap();
        assert_eq!(set.version(), "9");
    }

    #[test]
    fn a_port_is_found_by_number_and_by_name() {
        let slices = [
            slice("a", 1, &[1], &[("http", 9000), ("admin", 9001)]),
            slice("b", 1, &[2], &[("http", 8000)]),
        ];
        let set = SliceSet::listed(slices, "1").unwrap();
        for (port, expected) in [
            (ServicePort::Number(9000), &["10.0.0.1:9000"][..]),
            (ServicePort::Number(8000), &["10.0.0.2:8000"]),
            (
                ServicePort::Name("http"),
                &["10.0.0.1:9000", "10.0.0.2:8000"],
            ),
            (ServicePort::Name("admin"), &["10.0.0.1:9001"]),
            (ServicePort::Name("other"), &[]),
            // The Service does not list it, and its pods may have it.
            (
                ServicePort::Number(7000),
                &["10.0.0.1:7000", "10.0.0.2:7000"],
            ),
        ] {
            assert_eq!(shown(&set, port), expected, "{port:?}");
        }
    }

    #[test]
    fn a_service_without_ports_has_every_number_and_no_name() {
        let set = SliceSet::listed([slice("a", 1, &[1], &[])], "1").unwrap();
        assert_eq!(shown(&set, ServicePort::Number(7000)), ["10.0.0.1:7000"]);
        assert!(shown(&set, ServicePort::Name("http")).is_empty());
    }

    #[test]
    fn what_is_too_large_changes_nothing() {
        let many = |name: &str, version, count: usize| Slice {
            addresses: vec![[10, 0, 0, 1].into(); count],
            ..slice(name, version, &[], &[])
        };
        assert_eq!(
            SliceSet::listed([many("a", 1, MOST_ENDPOINTS + 1)], "1"),
            Err(TooMany)
        );
        let names = 0..=MOST_SLICES;
        let slices = names.map(|number| slice(&number.to_string(), 1, &[], &[]));
        assert_eq!(SliceSet::listed(slices, "1"), Err(TooMany));

        let mut set = SliceSet::listed([many("a", 1, MOST_ENDPOINTS - 1)], "1").unwrap();
        let before = set.clone();
        assert_eq!(set.apply(WatchEvent::Put(many("b", 2, 2))), Err(TooMany));
        assert_eq!(
            set.apply(WatchEvent::Put(many("a", 2, MOST_ENDPOINTS + 1))),
            Err(TooMany)
        );
        assert_eq!(set, before);
        set.apply(WatchEvent::Put(many("b", 2, 1))).unwrap();
    }

    /// A change of one of a few slices.
    fn event() -> impl Strategy<Value = WatchEvent> {
        let name = prop::sample::select(vec!["a", "b", "c"]);
        let addresses = prop::collection::vec(0_u8..6, 0..4);
        (name, addresses, 1_u32..100, 0_u8..4).prop_map(|(name, addresses, version, kind)| {
            let text = version.to_string().into_boxed_str();
            match kind {
                0 => WatchEvent::Deleted {
                    name: name.into(),
                    version: text,
                },
                1 => WatchEvent::Bookmark(text),
                _ => WatchEvent::Put(slice(name, version, &addresses, &[("http", 9000)])),
            }
        })
    }

    proptest! {
        /// The last state of each slice counts; the order among different slices does not.
        #[test]
        fn the_set_is_that_of_the_last_event_of_each_slice(
            events in prop::collection::vec(event(), 0..30),
            port in prop::sample::select(vec![9000_u16, 7000]),
        ) {
            let mut set = SliceSet::default();
            let mut model = BTreeMap::new();
            for event in &events {
                set.apply(event.clone()).unwrap();
                // What was seen twice is as if it was seen once.
                set.apply(event.clone()).unwrap();
                match event {
                    WatchEvent::Put(slice) => {
                        model.insert(slice.name.clone(), slice.addresses.clone());
                    }
                    WatchEvent::Deleted { name, .. } => {
                        model.remove(name);
                    }
                    WatchEvent::Bookmark(_) => {}
                }
            }
            let expected: BTreeSet<_> = model
                .values()
                .flatten()
                .map(|ip| SocketAddr::new(*ip, port))
                .collect();
            prop_assert_eq!(set.addresses(ServicePort::Number(port)), expected);

            let mut by_name = events.clone();
            // A stable sort: events of one slice keep their order.
            by_name.sort_by_key(|event| match event {
                WatchEvent::Put(slice) => Some(slice.name.clone()),
                WatchEvent::Deleted { name, .. } => Some(name.clone()),
                WatchEvent::Bookmark(_) => None,
            });
            let mut other = SliceSet::default();
            for event in by_name {
                other.apply(event).unwrap();
            }
            prop_assert!(other.has_endpoints_of(&set));
        }
    }
}
