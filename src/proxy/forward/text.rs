//! Addresses and numbers as text, without the formatter.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

/// The text of an address.
pub(super) struct Address {
    text: [u8; 48],
    length: usize,
    pub(super) is_v6: bool,
}

impl Address {
    /// Formatting costs ten times as much as four numbers do.
    pub(super) fn of(address: IpAddr) -> Self {
        let mut text = [0; 48];
        let length = match address {
            IpAddr::V4(address) => write_v4(&mut text, address),
            IpAddr::V6(address) => {
                let mut rest = &mut text[..];
                // The longest address has 45 characters, so this cannot fail.
                let _ = write!(rest, "{address}");
                let left = rest.len();
                text.len() - left
            }
        };
        Self {
            text,
            length,
            is_v6: address.is_ipv6(),
        }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// Digits of each octet with a dot, and their length.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut table = [([b'.'; 4], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let (text, length) = &mut table[octet];
        let mut unit = 100;
        while unit > 0 {
            if octet >= unit || unit == 1 {
                #[expect(clippy::cast_possible_truncation, reason = "a digit")]
                let digit = b'0' + (octet / unit % 10) as u8;
                text[*length as usize] = digit;
                *length += 1;
            }
            unit /= 10;
        }
        *length += 1;
        octet += 1;
    }
    table
};

fn write_v4(text: &mut [u8; 48], address: Ipv4Addr) -> usize {
    let mut at = 0;
    for octet in address.octets() {
        let (digits, length) = &OCTETS[usize::from(octet)];
        text[at..at + 4].copy_from_slice(digits);
        at += usize::from(*length);
    }
    at - 1
}

/// The 32 hexadecimal digits of a number.
pub(in crate::proxy) fn hex(number: u128) -> [u8; 32] {
    let mut text = [0; 32];
    let (high, low) = text.split_at_mut(16);
    #[expect(clippy::cast_possible_truncation, reason = "one half after the other")]
    {
        high.copy_from_slice(&hex_half((number >> 64) as u64));
        low.copy_from_slice(&hex_half(number as u64));
    }
    text
}

pub(in crate::proxy) fn hex_half(number: u64) -> [u8; 16] {
    const ONES: u128 = u128::from_le_bytes([1; 16]);
    const NIBBLES: u128 = ONES * 0x0f;
    // Spreads each nibble to a byte of its own in four steps, then turns all of them into digits at once.
    let spread = [32, 16, 8, 4]
        .into_iter()
        .fold(u128::from(number), |x, width| {
            (x | (x << width)) & (u128::MAX / ((1 << (2 * width)) - 1) * ((1 << width) - 1))
        });
    let letters = ((spread + ONES * 6) >> 4) & ONES;
    debug_assert_eq!(spread & NIBBLES, spread);
    (spread + ONES * u128::from(b'0') + letters * u128::from(b'a' - b'0' - 10)).to_be_bytes()
}
