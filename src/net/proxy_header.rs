//! Parser for the PROXY protocol, versions 1 and 2: the address of a load balancer's client.
//!
//! Read on listeners that are configured for it, and then required. Exactly the header is read, since TLS or a message
//! follows directly. Unknown address families and all extensions are skipped, as the protocol requires.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpStream;

use super::tcp::read_tcp;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED: usize = 16;
/// Length of the shortest header: `PROXY UNKNOWN` and CR LF.
const SHORTEST: usize = 15;
const SIGNATURE_V1: &[u8; 6] = b"PROXY ";
/// Length of the longest line of version 1, CR LF included.
const LONGEST_V1: usize = 107;
/// Longest block of addresses and extensions; real balancers send far less.
const LONGEST: usize = 2048;

/// Content of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxiedAddresses {
    /// The balancer's own connection (a health check), or one for a client without an IP address.
    Local,
    /// A connection for a client.
    Proxied {
        /// The client.
        source: SocketAddr,
        /// Address that the client connected to.
        destination: SocketAddr,
    },
}

/// Errors of the PROXY protocol header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// The command is neither proxied nor local.
    #[error("unknown PROXY protocol command")]
    Command,
    /// The address block is shorter than its family needs.
    #[error("PROXY protocol addresses are truncated")]
    Short,
    /// The line of version 1 is invalid.
    #[error("the PROXY protocol line, version 1, is malformed")]
    Line,
    /// The signature is wrong.
    #[error("no PROXY protocol signature")]
    Signature,
    /// Longer than the limit.
    #[error("PROXY protocol header is too long")]
    TooLong,
    /// The version of a binary header is not 2.
    #[error("neither version 1 nor version 2 of the PROXY protocol")]
    Version,
}

/// Parses the start of `bytes`: returns the length of the header and its content, or `None` while bytes are missing.
///
/// # Errors
/// As soon as the bytes cannot become a header.
pub fn parse_proxy_header(
    bytes: &[u8],
) -> Result<Option<(usize, ProxiedAddresses)>, ProxyHeaderError> {
    let known = bytes.len().min(SIGNATURE_V1.len());
    if known > 0 && bytes[..known] == SIGNATURE_V1[..known] {
        return parse_line(bytes);
    }
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(ProxyHeaderError::Signature);
    }
    if bytes.len() < FIXED {
        return Ok(None);
    }
    if bytes[12] >> 4 != 2 {
        return Err(ProxyHeaderError::Version);
    }
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if length > LONGEST {
        return Err(ProxyHeaderError::TooLong);
    }
    let Some(block) = bytes.get(FIXED..FIXED + length) else {
        return Ok(None);
    };
    let addresses = match bytes[12] & 0x0f {
        0 => ProxiedAddresses::Local,
        1 => parse_addresses(bytes[13], block)?,
        _ => return Err(ProxyHeaderError::Command),
    };
    Ok(Some((FIXED + length, addresses)))
}

/// Version 1: `PROXY TCP4 203.0.113.7 10.0.0.1 54321 443`, or `PROXY UNKNOWN` followed by anything.
fn parse_line(bytes: &[u8]) -> Result<Option<(usize, ProxiedAddresses)>, ProxyHeaderError> {
    let searched = &bytes[..bytes.len().min(LONGEST_V1)];
    let Some(end) = memchr::memmem::find(searched, b"\r\n") else {
        let is_too_long = bytes.len() >= LONGEST_V1;
        return if is_too_long {
            Err(ProxyHeaderError::TooLong)
        } else {
            Ok(None)
        };
    };
    let words = str::from_utf8(&bytes[SIGNATURE_V1.len().min(end)..end]);
    let words = words.map_err(|_| ProxyHeaderError::Line)?;
    let addresses = line_addresses(words).ok_or(ProxyHeaderError::Line)?;
    Ok(Some((end + 2, addresses)))
}

fn line_addresses(words: &str) -> Option<ProxiedAddresses> {
    let mut words = words.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(ProxiedAddresses::Local);
    }
    let mut ip = || -> Option<IpAddr> {
        let ip: IpAddr = words.next()?.parse().ok()?;
        (ip.is_ipv4() == (family == "TCP4")).then_some(ip)
    };
    let ips = (ip()?, ip()?);
    let mut port = || -> Option<u16> {
        let digits = words.next()?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        let shortest = digits.len() == 1 || !digits.starts_with('0');
        (plain && shortest).then(|| digits.parse().ok()).flatten()
    };
    let ports = (port()?, port()?);
    let is_whole = words.next().is_none() && matches!(family, "TCP4" | "TCP6");
    is_whole.then_some(ProxiedAddresses::Proxied {
        source: SocketAddr::new(ips.0, ports.0),
        destination: SocketAddr::new(ips.1, ports.1),
    })
}

fn parse_addresses(kind: u8, block: &[u8]) -> Result<ProxiedAddresses, ProxyHeaderError> {
    let (source, destination) = match kind {
        0x11 => {
            let block: &[u8; 12] = block.first_chunk().ok_or(ProxyHeaderError::Short)?;
            let ip = |at: usize| {
                let [a, b, c, d] = [block[at], block[at + 1], block[at + 2], block[at + 3]];
                Ipv4Addr::new(a, b, c, d).into()
            };
            let ports = [block[8], block[9], block[10], block[11]];
            with_ports((ip(0), ip(4)), ports)
        }
        0x21 => {
            let block: &[u8; 36] = block.first_chunk().ok_or(ProxyHeaderError::Short)?;
            let ips = (ipv6(&block[..16]), ipv6(&block[16..32]));
            with_ports(ips, [block[32], block[33], block[34], block[35]])
        }
        _ => return Ok(ProxiedAddresses::Local),
    };
    Ok(ProxiedAddresses::Proxied {
        source,
        destination,
    })
}

fn with_ports((source, destination): (IpAddr, IpAddr), ports: [u8; 4]) -> (SocketAddr, SocketAddr) {
    let [a, b, c, d] = ports;
    let source = SocketAddr::new(source, u16::from_be_bytes([a, b]));
    (
        source,
        SocketAddr::new(destination, u16::from_be_bytes([c, d])),
    )
}

fn ipv6(bytes: &[u8]) -> IpAddr {
    let bytes: [u8; 16] = bytes.try_into().expect("the caller passes 16 bytes");
    Ipv6Addr::from(bytes).into()
}

/// Reads exactly the header from `tcp`. The caller sets the deadline.
///
/// # Errors
/// `InvalidData` for an invalid header, `UnexpectedEof` for a client that disconnects, or the error of the system.
pub async fn read_proxy_header(tcp: &TcpStream) -> io::Result<ProxiedAddresses> {
    let mut bytes = [0; FIXED + LONGEST];
    let mut filled = 0;
    loop {
        let known_end = known_end(tcp, &mut bytes, filled).await?;
        tcp.readable().await?;
        match read_tcp(tcp, &mut bytes[filled..known_end]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        match parse_proxy_header(&bytes[..filled]) {
            Ok(Some((_, addresses))) => return Ok(addresses),
            Ok(None) => {}
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

/// Number of bytes that certainly belong to the header, given the first ones.
async fn known_end(tcp: &TcpStream, bytes: &mut [u8], filled: usize) -> io::Result<usize> {
    if filled < SHORTEST {
        return Ok(SHORTEST);
    }
    if bytes[..SIGNATURE_V1.len()] != *SIGNATURE_V1 {
        return Ok(match filled {
            ..FIXED => FIXED,
            _ => FIXED + declared(bytes),
        });
    }
    // Only its CR LF shows where the line ends, so the bytes are peeked at before they are read.
    let available = tcp.peek(&mut bytes[filled..LONGEST_V1]).await?;
    let end = memchr::memmem::find(&bytes[..filled + available], b"\r\n");
    Ok(end.map_or(filled + available.max(1), |end| end + 2))
}

fn declared(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[14], bytes[15]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version_command: u8, kind: u8, block: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([version_command, kind]);
        bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
        bytes.extend(block);
        bytes
    }

    const IPV4: [u8; 12] = [203, 0, 113, 7, 10, 0, 0, 1, 0xd4, 0x31, 0x01, 0xbb];

    #[test]
    fn an_ipv4_client_is_read_at_every_cut() {
        let mut bytes = header(0x21, 0x11, &IPV4);
        let length = bytes.len();
        bytes.extend(b"GET / HTTP/1.1\r\n");
        for cut in 0..length {
            assert_eq!(parse_proxy_header(&bytes[..cut]), Ok(None), "{cut}");
        }
        let expected = ProxiedAddresses::Proxied {
            source: "203.0.113.7:54321".parse().unwrap(),
            destination: "10.0.0.1:443".parse().unwrap(),
        };
        assert_eq!(parse_proxy_header(&bytes), Ok(Some((length, expected))));
    }

    #[test]
    fn an_ipv6_client_with_extensions_is_read() {
        let mut block = vec![0; 36];
        block[15] = 1;
        block[31] = 2;
        block[33] = 80;
        block.extend([0x04, 0, 1, 0]);
        let (length, addresses) = parse_proxy_header(&header(0x21, 0x21, &block))
            .unwrap()
            .unwrap();
        assert_eq!(length, 56);
        let expected = ProxiedAddresses::Proxied {
            source: "[::1]:80".parse().unwrap(),
            destination: "[::2]:0".parse().unwrap(),
        };
        assert_eq!(addresses, expected);
    }

    #[test]
    fn local_and_unknown_kinds_have_no_addresses() {
        let local = Ok(Some((16, ProxiedAddresses::Local)));
        assert_eq!(parse_proxy_header(&header(0x20, 0, &[])), local);
        assert_eq!(parse_proxy_header(&header(0x21, 0, &[])), local);
        assert_eq!(
            parse_proxy_header(&header(0x20, 0x11, &IPV4)),
            Ok(Some((28, ProxiedAddresses::Local)))
        );
    }

    #[test]
    fn everything_else_is_refused() {
        let refused = |bytes: &[u8]| parse_proxy_header(bytes).unwrap_err();
        assert_eq!(refused(b"GET / HTTP/1.1\r\n"), ProxyHeaderError::Signature);
        assert_eq!(
            refused(&header(0x11, 0x11, &IPV4)),
            ProxyHeaderError::Version
        );
        assert_eq!(
            refused(&header(0x22, 0x11, &IPV4)),
            ProxyHeaderError::Command
        );
        assert_eq!(
            refused(&header(0x21, 0x11, &IPV4[..11])),
            ProxyHeaderError::Short
        );
        assert_eq!(refused(&header(0x21, 0x21, &IPV4)), ProxyHeaderError::Short);
        assert_eq!(
            refused(&header(0x21, 0x11, &[0; 3000])),
            ProxyHeaderError::TooLong
        );
    }

    #[test]
    fn a_line_of_version_1_is_read_at_every_cut() {
        for (line, source) in [
            (
                "PROXY TCP4 203.0.113.7 10.0.0.1 54321 443\r\n",
                "203.0.113.7:54321",
            ),
            ("PROXY TCP6 ::1 2001:db8::2 1 65535\r\n", "[::1]:1"),
        ] {
            let mut bytes = line.as_bytes().to_vec();
            let length = bytes.len();
            bytes.extend(b"GET / HTTP/1.1\r\n");
            for cut in 0..length {
                assert_eq!(parse_proxy_header(&bytes[..cut]), Ok(None), "{cut}");
            }
            let Ok(Some((read, ProxiedAddresses::Proxied { source: found, .. }))) =
                parse_proxy_header(&bytes)
            else {
                panic!("{line}");
            };
            assert_eq!((read, found), (length, source.parse().unwrap()));
        }
        let unknown = b"PROXY UNKNOWN ffff::1 whatever\r\n";
        let local = Ok(Some((unknown.len(), ProxiedAddresses::Local)));
        assert_eq!(parse_proxy_header(unknown), local);
    }

    #[test]
    fn lines_that_are_not_of_version_1_are_refused() {
        for bad in [
            "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 02\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
            "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY \r\n",
        ] {
            let refused = parse_proxy_header(bad.as_bytes());
            assert_eq!(refused, Err(ProxyHeaderError::Line), "{bad}");
        }
        let endless = format!("PROXY UNKNOWN {}", "x".repeat(200));
        let refused = parse_proxy_header(endless.as_bytes());
        assert_eq!(refused, Err(ProxyHeaderError::TooLong));
    }
}
