//! Content of a pin: the release and the endpoint that a session has, and the id by which they know it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use super::{Content, KeyRing, LONGEST_CONTENT, Label, OpenError, Sealed};

/// Longest id of a session that is sealed.
pub const LONGEST_ID: usize = 1_024;

/// A pin: a session stays where it says.
///
/// Numbers are big endian: the time of issue (4 bytes), the release (8), the address (4 or 16 bytes, with its length
/// before it), its scope in the case of IPv6 (4), the port (2); the rest is the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin<'i> {
    /// Time of issue, in seconds since 1970.
    pub issued: u32,
    /// The release: the hash of its name and version.
    pub release: u64,
    /// Address of the endpoint.
    pub endpoint: SocketAddr,
    /// The id that the endpoint gave out.
    pub id: &'i [u8],
}

impl<'i> Pin<'i> {
    /// Opens a sealed id.
    ///
    /// # Errors
    /// A text that is not a pin for this label.
    pub fn open(
        ring: &KeyRing,
        label: &Label,
        text: &[u8],
        buffer: &'i mut Content,
    ) -> Result<Self, OpenError> {
        let content = ring.open(label, text, buffer)?;
        Self::read(content).ok_or(OpenError::Malformed)
    }

    /// Seals it; `None` if its id is empty or too long.
    pub fn seal(&self, ring: &KeyRing, label: &Label) -> Option<Sealed> {
        if !(1..=LONGEST_ID).contains(&self.id.len()) {
            return None;
        }
        let mut content = [0; LONGEST_CONTENT];
        let length = self.write(&mut content)?;
        ring.seal(label, &content[..length])
    }

    /// Age at a time in seconds since 1970. One from the future is new: clocks of two nodes differ.
    pub fn age(&self, now: u32) -> Duration {
        Duration::from_secs(now.saturating_sub(self.issued).into())
    }

    fn write(&self, content: &mut [u8; LONGEST_CONTENT]) -> Option<usize> {
        let mut length = 0;
        let mut put = |bytes: &[u8]| {
            content
                .get_mut(length..length + bytes.len())?
                .copy_from_slice(bytes);
            length += bytes.len();
            Some(())
        };
        put(&self.issued.to_be_bytes())?;
        put(&self.release.to_be_bytes())?;
        match self.endpoint {
            SocketAddr::V4(address) => {
                put(&[4])?;
                put(&address.ip().octets())?;
            }
            SocketAddr::V6(address) => {
                put(&[16])?;
                put(&address.ip().octets())?;
                put(&address.scope_id().to_be_bytes())?;
            }
        }
        put(&self.endpoint.port().to_be_bytes())?;
        put(self.id)?;
        Some(length)
    }

    fn read(content: &'i [u8]) -> Option<Self> {
        let (issued, rest) = content.split_first_chunk()?;
        let (release, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first()?;
        let (address, rest) = match kind {
            4 => {
                let (octets, rest) = rest.split_first_chunk::<4>()?;
                (
                    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(*octets)), 0),
                    rest,
                )
            }
            16 => {
                let (octets, rest) = rest.split_first_chunk::<16>()?;
                let (scope, rest) = rest.split_first_chunk()?;
                let scope = u32::from_be_bytes(*scope);
                let address = SocketAddrV6::new(Ipv6Addr::from(*octets), 0, 0, scope);
                (SocketAddr::V6(address), rest)
            }
            _ => return None,
        };
        let (port, id) = rest.split_first_chunk()?;
        let mut endpoint = address;
        endpoint.set_port(u16::from_be_bytes(*port));
        (!id.is_empty()).then_some(Self {
            issued: u32::from_be_bytes(*issued),
            release: u64::from_be_bytes(*release),
            endpoint,
            id,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring() -> KeyRing {
        KeyRing::new(&[&"k".repeat(40)]).unwrap().unwrap()
    }

    proptest! {
        #[test]
        fn a_pin_comes_back_as_it_went(
            issued: u32,
            release: u64,
            v4: [u8; 4],
            v6: [u8; 16],
            is_v4: bool,
            port: u16,
            id in prop::collection::vec(any::<u8>(), 1..=LONGEST_ID),
        ) {
            let ip = if is_v4 { IpAddr::from(v4) } else { IpAddr::from(v6) };
            let pin = Pin { issued, release, endpoint: SocketAddr::new(ip, port), id: &id };
            let label = Label::pin_header("mcp-session-id");
            let sealed = pin.seal(&ring(), &label).unwrap();
            let mut buffer = Content::default();
            prop_assert_eq!(Pin::open(&ring(), &label, &sealed, &mut buffer), Ok(pin));
        }

        #[test]
        fn any_content_is_read_without_a_panic(content in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(pin) = Pin::read(&content) {
                let mut written = [0; LONGEST_CONTENT];
                let length = pin.write(&mut written).unwrap();
                prop_assert_eq!(&written[..length], &content[..]);
            }
        }
    }

    #[test]
    fn an_id_that_is_empty_or_too_long_is_not_sealed() {
        let pin = |id| Pin {
            issued: 0,
            release: 1,
            endpoint: ([127, 0, 0, 1], 9).into(),
            id,
        };
        let label = Label::pin_cookie("sid");
        assert!(pin(b"").seal(&ring(), &label).is_none());
        assert!(pin(&[b'x'; LONGEST_ID]).seal(&ring(), &label).is_some());
        assert!(pin(&[b'x'; LONGEST_ID + 1]).seal(&ring(), &label).is_none());
    }

    #[test]
    fn a_pin_from_the_future_is_new() {
        let pin = Pin {
            issued: 100,
            release: 1,
            endpoint: ([127, 0, 0, 1], 9).into(),
            id: b"x",
        };
        assert_eq!(pin.age(90), Duration::ZERO);
        assert_eq!(pin.age(160), Duration::from_secs(60));
    }
}
