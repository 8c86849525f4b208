//! An endpoint of every class of work over HTTP/1.1 or HTTP/2. It begins each response, and ends all of them when the gate
//! opens. The class is the last segment of the path.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use bytes::Bytes;
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, Request, Response};
use switchback::message::handshake;
use tokio::sync::watch;

use super::Transport;
use crate::support::h2::{H2Origin, send};
use crate::support::{Origin, Request as Http1Request, read_request};

/// Closed until all work may finish.
type Gate = watch::Receiver<bool>;

/// A text frame with `1`.
const FIRST_FRAME: &[u8] = b"\x81\x011";
/// A text frame with `2`, and a close frame with the code 1000.
const LAST_FRAMES: &[u8] = b"\x81\x012\x88\x02\x03\xe8";

/// The endpoint; its name is the body of what is not streamed.
pub(super) enum Endpoint {
    Http1(Origin),
    Http2(H2Origin),
}

impl Endpoint {
    pub(super) fn start(transport: Transport, name: &'static str, gate: Gate) -> Self {
        match transport {
            Transport::Http1 => Self::Http1(Origin::scripted(move |stream| {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some(request) = read_request(&mut reader) {
                    if serve(&request, &stream, name, gate.clone()).is_err() {
                        return;
                    }
                }
            })),
            Transport::Http2 => {
                let mut builder = h2::server::Builder::new();
                builder.enable_connect_protocol();
                Self::Http2(H2Origin::start_with(builder, move |request, respond| {
                    let gate = gate.clone();
                    async move {
                        // Whatever was cut cannot be sent any more.
                        let _ended = answer(request, respond, name, gate).await;
                    }
                }))
            }
        }
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Http1(origin) => origin.url(),
            Self::Http2(origin) => format!("http://{}", origin.address),
        }
    }
}

fn class_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn wait_for(mut gate: Gate) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    // The test that has the other half may have failed.
    let _open = runtime.block_on(gate.wait_for(|is_open| *is_open));
}

/// Responds to a request over HTTP/1.1.
fn serve(
    request: &Http1Request,
    mut stream: &TcpStream,
    name: &str,
    gate: Gate,
) -> std::io::Result<()> {
    let path = request.line().split(' ').nth(1).unwrap_or_default();
    let whole = |fields: &str| {
        let length = name.len();
        format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\n\r\n{name}")
    };
    match class_of(path) {
        "stream" => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            write!(stream, "{head}9\r\ndata: 1\n\n\r\n")?;
            wait_for(gate);
            write!(stream, "9\r\ndata: 2\n\n\r\n0\r\n\r\n")
        }
        "websocket" => {
            let key = request.value("sec-websocket-key").unwrap_or_default();
            let accept = String::from_utf8(handshake::accept(key.as_bytes()).to_vec()).unwrap();
            write!(
                stream,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            )?;
            stream.write_all(FIRST_FRAME)?;
            wait_for(gate);
            stream.write_all(LAST_FRAMES)?;
            stream.shutdown(std::net::Shutdown::Write)
        }
        "unary" => {
            wait_for(gate);
            stream.write_all(whole("").as_bytes())
        }
        _ => stream.write_all(whole("X-Session: s-1\r\n").as_bytes()),
    }
}

/// Responds to a request over HTTP/2.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    name: &'static str,
    mut gate: Gate,
) -> Result<(), h2::Error> {
    let class = class_of(request.uri().path());
    let grpc = matches!(class, "call" | "grpc_stream");
    let kind = match class {
        "stream" => "text/event-stream",
        _ if grpc => "application/grpc",
        _ => "text/plain",
    };
    if matches!(class, "unary" | "call") {
        let _open = gate.wait_for(|is_open| *is_open).await;
    }
    let head = Response::builder()
        .header("content-type", kind)
        .header("x-session", "s-1");
    let mut out = respond.send_response(head.body(()).unwrap(), false)?;
    let (first, last): (&[u8], &[u8]) = match class {
        "stream" => (b"data: 1\n\n", b"data: 2\n\n"),
        "websocket" => (FIRST_FRAME, LAST_FRAMES),
        "grpc_stream" => (b"\0\0\0\0\x011", b"\0\0\0\0\x012"),
        "call" => (b"", b"\0\0\0\0\x011"),
        _ => (b"", name.as_bytes()),
    };
    send(&mut out, Bytes::from_static(first), false).await?;
    if !first.is_empty() {
        let _open = gate.wait_for(|is_open| *is_open).await;
    }
    finish(out, last, grpc).await
}

async fn finish(
    mut out: SendStream<Bytes>,
    last: &'static [u8],
    grpc: bool,
) -> Result<(), h2::Error> {
    send(&mut out, Bytes::from_static(last), !grpc).await?;
    if grpc {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        out.send_trailers(trailers)?;
    }
    Ok(())
}
