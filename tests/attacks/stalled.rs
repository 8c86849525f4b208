//! Stalled HTTP/2 streams, by the thousand: the other streams of the same connections, and of all other clients to the
//! same endpoint, go on.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use ::h2::{Reason, RecvStream, SendStream, client::SendRequest, server::SendResponse};
use bytes::Bytes;
use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::{Setup, until};

/// Longest time of a request that is not stalled while all others are.
const GETS_ON: Duration = Duration::from_secs(20);

/// Number of attacking connections, and of streams on each.
const CONNECTIONS: usize = 16;
const STREAMS: usize = 99;

/// More bytes than all windows on the way hold for one stream.
const BODY: &[u8] = &[b'x'; 256 << 10];

/// An HTTP/2 release behind `/stalled`; with the smallest windows, so that little memory fills them.
fn setup() -> Setup {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    let setup = Setup::start(&format!(
        "[limits.http2]\nstream_window = \"16KiB\"\nconnection_window = \"64KiB\"\n\
         [releases.stalled]\nprotocol = \"h2\"\nendpoints = [\"http://{address}\"]\n\
         [[routes]]\nname = \"stalled\"\npath_prefix = \"/stalled\"\nsplit = {{ stalled = 1 }}\n"
    ));
    setup.runtime.spawn(async move {
        let listener = TcpListener::from_std(socket).unwrap();
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    setup
}

async fn serve(socket: TcpStream) {
    let mut settings = ::h2::server::Builder::new();
    settings
        .max_concurrent_streams(2_000)
        .initial_connection_window_size(1 << 30);
    let Ok(mut connection) = settings.handshake::<_, Bytes>(socket).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond));
    }
}

/// Responds with as many bytes as the path says, or else echoes the body; `/stalled/deaf` reads nothing.
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let path = request.uri().path().to_owned();
    let mut body = request.into_body();
    if path.ends_with("/deaf") {
        let reset = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
        return drop((reset, body));
    }
    let count = path.rsplit('/').next().and_then(|text| text.parse().ok());
    let count = match count {
        Some(count) => count,
        None => read(&mut body).await.unwrap_or_default(),
    };
    let head = Response::new(());
    if let Ok(mut out) = respond.send_response(head, false) {
        // It ends when its client disconnects.
        let _sent = write(&mut out, count).await;
    }
}

async fn read(body: &mut RecvStream) -> Result<usize, ::h2::Error> {
    let mut count = 0;
    while let Some(data) = body.data().await {
        let length = data?.len();
        count += length;
        body.flow_control().release_capacity(length)?;
    }
    Ok(count)
}

async fn write(out: &mut SendStream<Bytes>, mut count: usize) -> Result<(), ::h2::Error> {
    while count > 0 {
        out.reserve_capacity(count.min(BODY.len()));
        let capacity = std::future::poll_fn(|cx| out.poll_capacity(cx)).await;
        let capacity = capacity.unwrap_or_else(|| Err(Reason::CANCEL.into()))?;
        let part = Bytes::from_static(&BODY[..capacity.min(count).min(BODY.len())]);
        count -= part.len();
        out.send_data(part, false)?;
    }
    out.send_data(Bytes::new(), true)
}

fn request(method: &str, path: &str) -> Request<()> {
    let uri = format!("http://a.example{path}");
    let request = Request::builder().method(method).uri(uri);
    request.body(()).unwrap()
}

async fn connect(address: SocketAddr, window: u32) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(address).await.unwrap();
    let mut settings = ::h2::client::Builder::new();
    settings.initial_window_size(window);
    let (requests, connection) = settings.handshake(socket).await.unwrap();
    tokio::spawn(connection);
    requests
}

/// Uploads that the endpoint does not read, up to all windows, and one on the same connection that it reads.
async fn upload(address: SocketAddr, stop: Arc<AtomicBool>) -> u64 {
    let mut requests = connect(address, 65_535).await;
    let mut held = Vec::new();
    for _ in 0..STREAMS {
        requests = requests.ready().await.unwrap();
        let asked = requests.send_request(request("POST", "/stalled/deaf"), false);
        let (answer, mut out) = asked.unwrap();
        out.send_data(Bytes::from_static(BODY), false).unwrap();
        held.push((answer, out));
    }
    for _ in 0..2 {
        requests = requests.ready().await.unwrap();
        let asked = requests.send_request(request("POST", "/stalled"), false);
        let (answer, mut out) = asked.unwrap();
        let asking = async {
            write(&mut out, 2_000_000).await.unwrap();
            read(answer.await.unwrap().body_mut()).await.unwrap()
        };
        let answered = timeout(GETS_ON, asking).await;
        assert_eq!(
            answered.expect("an upload beside those that stand still"),
            2_000_000
        );
    }
    until(&stop).await;
    held.len() as u64
}

#[test]
fn uploads_that_stand_still_stop_no_other() {
    setup().withstand("stalled uploads", |address, stop| async move {
        let mut attackers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            attackers.spawn(upload(address, Arc::clone(&stop)));
        }
        attackers.join_all().await.into_iter().sum()
    });
}

/// Sends requests on a connection that reads no response.
async fn ask_and_take_nothing(address: SocketAddr) -> Vec<::h2::client::ResponseFuture> {
    let mut requests = connect(address, 0).await;
    let mut held = Vec::new();
    for _ in 0..STREAMS {
        requests = requests.ready().await.unwrap();
        let asked = requests.send_request(request("GET", "/stalled/200000"), true);
        held.push(asked.unwrap().0);
    }
    held
}

/// Reads a whole large response.
async fn download(address: SocketAddr, count: usize) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let asked = format!("GET /stalled/{count} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    socket.write_all(asked.as_bytes()).await.unwrap();
    let (mut got, mut bytes) = (0, vec![0; 256 << 10]);
    loop {
        match socket.read(&mut bytes).await.unwrap() {
            0 => break,
            n => got += n,
        }
    }
    assert!(got > count, "{got} of {count} bytes");
}

#[test]
fn unread_responses_stop_no_other() {
    setup().withstand("stalled answers", |address, stop| async move {
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            held.extend(ask_and_take_nothing(address).await);
        }
        // On either worker, and more than any free window.
        for _ in 0..6 {
            let downloaded = timeout(GETS_ON, download(address, 20_000_000)).await;
            downloaded.expect("an answer beside those that stand still");
        }
        until(&stop).await;
        held.len() as u64
    });
}
