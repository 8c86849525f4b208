//! A range of addresses: `10.0.0.0/8`, `::1`.

use std::{fmt, net::IpAddr, str::FromStr};

use crate::model::serde_as_text;
use ipnet::IpNet;

/// An address and the number of its significant leading bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// True if an address lies in the network. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    // Parsed by the standard library: ipnet reads `010.0.0.0/8` as `10.0.0.0/8`, other parsers as `8.0.0.0/8`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a network: write an address, such as `10.0.0.7`, or a range, such as `10.0.0.0/8`"
            )
        };
        let Some((address, bits)) = text.split_once('/') else {
            let address: IpAddr = text.parse().map_err(|_| wrong())?;
            return Ok(Self(address.into()));
        };
        let address = address.parse().map_err(|_| wrong())?;
        let bits = Some(bits).filter(|bits| bits.bytes().all(|b| b.is_ascii_digit()));
        let bits = bits.and_then(|bits| bits.parse().ok()).ok_or_else(wrong)?;
        IpNet::new(address, bits).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

serde_as_text!(Network);

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        let network: Network = network.parse().unwrap();
        network.contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_a_network_by_its_leading_bits() {
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "1.2.3.4"));
        assert!(holds("::/0", "::1"));
        assert!(!holds("0.0.0.0/0", "::1"));
        assert!(holds("fd00::/8", "fd12::1"));
        assert!(!holds("192.0.2.1", "192.0.2.2"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"), "mapped");
    }

    #[test]
    fn networks_are_written_as_they_are_read() {
        for text in ["10.0.0.0/8", "::1/128", "192.0.2.1/32"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for bad in [
            "10.0.0.0/33",
            "10.0.0/8",
            "010.0.0.0/8",
            "::1/129",
            "a",
            "10.0.0.0/",
            "10.0.0.0/+8",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
