//! Address ranges, for peers whose forwarding headers are believed.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    // IPv4 is kept as ::ffff:0:0/96, so that a mapped address means the same.
    base: u128,
    mask: u128,
    text: IpAddr,
    bits: u8,
}

/// Several ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CidrSet(Vec<Cidr>);

/// Text that is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address range such as `10.0.0.0/8`")]
pub struct CidrError(String);

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let wrong = || CidrError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if !bits.starts_with('+') => {
                (address, Some(bits.parse().map_err(|_| wrong())?))
            }
            Some(_) => return Err(wrong()),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        let bits: u8 = bits.unwrap_or(width);
        if bits > width {
            return Err(wrong());
        }
        let host_bits = u32::from(width - bits);
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        let base = number(address);
        if base & !mask != 0 {
            return Err(wrong());
        }
        Ok(Self {
            base,
            mask,
            text: address,
            bits,
        })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.text, self.bits)
    }
}

impl CidrSet {
    /// Whether `address` lies in one of the ranges.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = number(address);
        self.0
            .iter()
            .any(|range| address & range.mask == range.base)
    }

    /// Whether there is no range at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Cidr> for CidrSet {
    fn from_iter<I: IntoIterator<Item = Cidr>>(ranges: I) -> Self {
        Self(ranges.into_iter().collect())
    }
}

fn number(address: IpAddr) -> u128 {
    let address: Ipv6Addr = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    address.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[&str]) -> CidrSet {
        ranges.iter().map(|range| range.parse().unwrap()).collect()
    }

    #[test]
    fn ranges_contain_what_they_should() {
        let set = set(&["10.0.0.0/8", "192.0.2.7", "fd00::/8"]);
        for inside in ["10.1.2.3", "192.0.2.7", "fd12::1", "::ffff:10.1.2.3"] {
            assert!(set.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "fe80::1"] {
            assert!(!set.contains(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn everything_is_a_range_too_but_only_of_its_family() {
        let set = set(&["0.0.0.0/0"]);
        assert!(set.contains("203.0.113.1".parse().unwrap()));
        assert!(!set.contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn odd_text_is_refused() {
        for odd in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/+8",
            "fd00::/129",
            "host/8",
            "10.0.0.0/",
        ] {
            assert!(odd.parse::<Cidr>().is_err(), "{odd}");
        }
    }
}
