//! A WebSocket that echoes (RFC 6455), just large enough for a sample agent: it echoes messages frame by frame, replies
//! to pings, replies to a close and ends, and ends at once on any protocol error.

use std::{io, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{
        StatusCode,
        header::{
            CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
        },
    },
    response::{IntoResponse, Response},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::agent::Agent;
use crate::message::handshake;

/// Largest frame that is accepted.
const LARGEST: u64 = 1 << 20;

const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// One frame without its mask.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    end: bool,
    kind: u8,
    data: Vec<u8>,
}

/// Upgrades the connection and echoes until the client closes it.
pub(super) async fn echo(State(agent): State<Arc<Agent>>, mut request: Request) -> Response {
    let is_version_13 = request
        .headers()
        .get(SEC_WEBSOCKET_VERSION)
        .is_some_and(|version| version.as_bytes() == b"13");
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY).cloned() else {
        return (StatusCode::UPGRADE_REQUIRED, [(UPGRADE, "websocket")]).into_response();
    };
    if !is_version_13 {
        return (
            StatusCode::UPGRADE_REQUIRED,
            [(SEC_WEBSOCKET_VERSION, "13")],
        )
            .into_response();
    }
    let upgrade = hyper::upgrade::on(&mut request);
    // The task ends with the connection.
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // A broken connection has no peer left to report to.
            let _ = converse(TokioIo::new(upgraded)).await;
        }
    });
    let accept = handshake::accept(key.as_bytes());
    let accept = String::from_utf8_lossy(&accept).into_owned();
    let head = [
        (UPGRADE, "websocket".to_owned()),
        (CONNECTION, "Upgrade".to_owned()),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ];
    let release = [("x-agent-release", agent.release.clone())];
    (StatusCode::SWITCHING_PROTOCOLS, head, release).into_response()
}

async fn converse(mut socket: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    loop {
        let frame = read(&mut socket).await?;
        let kind = match frame.kind {
            PING => PONG,
            PONG => continue,
            other => other,
        };
        write(&mut socket, &Frame { kind, ..frame }).await?;
        if kind == CLOSE {
            return socket.shutdown().await;
        }
    }
}

async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let broken = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let [first, second] = [socket.read_u8().await?, socket.read_u8().await?];
    let (end, kind) = (first & 0x80 != 0, first & 0x0F);
    if first & 0x70 != 0 || !matches!(kind, 0..=2 | CLOSE | PING | PONG) {
        return Err(broken("a frame of an unknown kind"));
    }
    if second & 0x80 == 0 {
        return Err(broken("a client masks its frames"));
    }
    let length = match second & 0x7F {
        126 => u64::from(socket.read_u16().await?),
        127 => socket.read_u64().await?,
        short => u64::from(short),
    };
    if length > LARGEST || kind >= CLOSE && (length > 125 || !end) {
        return Err(broken("a frame that is too long"));
    }
    let mut mask = [0; 4];
    socket.read_exact(&mut mask).await?;
    let mut data = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    socket.read_exact(&mut data).await?;
    for (byte, mask) in data.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok(Frame { end, kind, data })
}

async fn write(socket: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    let mut bytes = vec![u8::from(frame.end) << 7 | frame.kind];
    let length = frame.data.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => bytes.push(short),
        (_, Ok(medium)) => {
            bytes.push(126);
            bytes.extend(medium.to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(&frame.data);
    socket.write_all(&bytes).await?;
    socket.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes sent back for the bytes of a client, until the connection ends.
    async fn sent_back(bytes: Vec<u8>) -> (Vec<u8>, bool) {
        let (mut client, server) = tokio::io::duplex(1 << 22);
        client.write_all(&bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let whole = converse(server).await.is_ok();
        let mut back = Vec::new();
        client.read_to_end(&mut back).await.unwrap();
        (back, whole)
    }

    fn masked(first: u8, data: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match data.len() {
            short @ ..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
            medium @ ..0x1_0000 => {
                frame.push(0xFE);
                frame.extend(u16::try_from(medium).unwrap().to_be_bytes());
            }
            long => {
                frame.push(0xFF);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend(
            data.iter()
                .zip([1, 2, 3, 4].iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        frame
    }

    #[tokio::test]
    async fn frames_come_back_and_a_close_ends_it() {
        let mut bytes = masked(0x81, b"hello");
        bytes.extend(masked(0x89, b"there?"));
        bytes.extend(masked(0x8A, b"ignored"));
        bytes.extend(masked(0x88, &[3, 232]));
        let (back, whole) = sent_back(bytes).await;
        assert!(whole);
        assert_eq!(back, b"\x81\x05hello\x8A\x06there?\x88\x02\x03\xE8");
    }

    #[tokio::test]
    async fn lengths_of_every_size_come_back() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let data = vec![7; length];
            let mut bytes = masked(0x82, &data);
            bytes.extend(masked(0x88, &[]));
            let (back, whole) = sent_back(bytes).await;
            assert!(whole && back.ends_with(&[0x88, 0]));
            assert!(back[..back.len() - 2].ends_with(&data), "{length}");
        }
    }

    #[tokio::test]
    async fn what_breaks_the_protocol_ends_it() {
        let unmasked = b"\x81\x02hi".to_vec();
        let reserved = masked(0xC1, b"hi");
        let unknown = masked(0x83, b"hi");
        let split_ping = masked(0x09, b"hi");
        let long_ping = masked(0x89, &[0; 126]);
        for bytes in [unmasked, reserved, unknown, split_ping, long_ping] {
            let (back, whole) = sent_back(bytes).await;
            assert!(!whole && back.is_empty());
        }
    }
}
