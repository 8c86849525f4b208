//! PROXY protocol, version 2: who the client of a load balancer in front of us is.
//!
//! Read on listeners that ask for it, and then required; version 1 is refused. Exactly the header is read, since TLS
//! or a message follows directly. Unknown kinds of addresses and all extensions are skipped, as the protocol says.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpStream;

use super::stream::read_tcp;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED: usize = 16;
/// Addresses and extensions; what real balancers send is far below.
const LONGEST: usize = 2048;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxiedAddresses {
    /// The balancer speaks for itself (a health check), or for a client of a kind that has no address.
    Local,
    /// It speaks for a client.
    Proxied {
        /// The client.
        source: SocketAddr,
        /// Where the client connected to.
        destination: SocketAddr,
    },
}

/// Bytes that are no PROXY protocol, version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// Neither proxied nor local.
    #[error("unknown PROXY protocol command")]
    Command,
    /// The block of addresses is shorter than its family needs.
    #[error("PROXY protocol addresses are cut short")]
    Short,
    /// It does not start as it must.
    #[error("no PROXY protocol signature")]
    Signature,
    /// More than any balancer sends.
    #[error("PROXY protocol header is too long")]
    TooLong,
    /// Not version 2.
    #[error("not version 2 of the PROXY protocol")]
    Version,
}

/// Parses the start of `bytes`: the length of the header and what it says, or nothing while more bytes are needed.
///
/// # Errors
/// As soon as the bytes cannot become a header.
pub fn parse_proxy_header(
    bytes: &[u8],
) -> Result<Option<(usize, ProxiedAddresses)>, ProxyHeaderError> {
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
/// `InvalidData` for bytes that are no header, `UnexpectedEof` for a client that leaves, or what the system says.
pub async fn read_proxy_header(tcp: &TcpStream) -> io::Result<ProxiedAddresses> {
    let mut bytes = [0; FIXED + LONGEST];
    let mut filled = 0;
    loop {
        let wanted = if filled < FIXED {
            FIXED
        } else {
            FIXED + declared(&bytes)
        };
        tcp.readable().await?;
        match read_tcp(tcp, &mut bytes[filled..wanted]) {
            Ok(0) if filled < wanted => return Err(io::ErrorKind::UnexpectedEof.into()),
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
        assert_eq!(
            refused(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"),
            ProxyHeaderError::Signature
        );
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
}
