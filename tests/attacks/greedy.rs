//! Large consumers beside small ones: endless downloads, and a release that takes all connections.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{Setup, until};

/// Number of concurrent downloads or uploads.
const BODIES: usize = 16;

/// Number of concurrent requests to the release that never responds; more than the limit of connections.
const WAITING: usize = 400;

/// Reads `/big` to its end again and again, as fast as it comes.
async fn download(address: SocketAddr, stop: Arc<AtomicBool>, read: Arc<AtomicU64>) {
    let mut sink = vec![0; 1 << 20];
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut socket) = TcpStream::connect(address).await else {
            return;
        };
        let request = b"GET /big HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
        if socket.write_all(request).await.is_err() {
            continue;
        }
        while let Ok(count @ 1..) = socket.read(&mut sink).await {
            read.fetch_add(count as u64, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

#[test]
fn endless_downloads_delay_no_other_client() {
    let setup = Setup::with_workers(1, "");
    setup.withstand("bulk beside small", |address, stop| async move {
        let read = Arc::new(AtomicU64::new(0));
        let mut downloads = JoinSet::new();
        for _ in 0..BODIES {
            downloads.spawn(download(address, Arc::clone(&stop), Arc::clone(&read)));
        }
        downloads.join_all().await;
        // In mebibytes.
        read.load(Ordering::Relaxed) >> 20
    });
}

/// Sends a body with a length that is never reached.
async fn upload(address: SocketAddr, stop: Arc<AtomicBool>, sent: Arc<AtomicU64>) {
    let piece = vec![b'x'; 256 << 10];
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = b"POST /big HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000000000\r\n\r\n";
    socket.write_all(head).await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        let Ok(count @ 1..) = socket.write(&piece).await else {
            return;
        };
        sent.fetch_add(count as u64, Ordering::Relaxed);
    }
}

#[test]
fn endless_uploads_delay_no_other_client() {
    let setup = Setup::with_workers(1, "");
    setup.withstand("bulk uploads beside small", |address, stop| async move {
        let sent = Arc::new(AtomicU64::new(0));
        let mut uploads = JoinSet::new();
        for _ in 0..BODIES {
            uploads.spawn(upload(address, Arc::clone(&stop), Arc::clone(&sent)));
        }
        uploads.join_all().await;
        // In mebibytes.
        sent.load(Ordering::Relaxed) >> 20
    });
}

/// An endpoint that accepts every connection and never responds.
async fn swallow(listener: TcpListener) {
    let mut held = Vec::new();
    while let Ok((socket, _)) = listener.accept().await {
        held.push(socket);
    }
}

#[test]
fn a_release_that_eats_connections_is_stopped_alone() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    let setup = Setup::start(&format!(
        "limits.upstream_connections = 100\ntimeouts.connect = \"500ms\"\n\
         [releases.greedy]\nendpoints = [\"http://{address}\"]\n\
         [[routes]]\nname = \"greedy\"\npath_prefix = \"/greedy\"\nsplit = {{ greedy = 1 }}\n"
    ));
    setup
        .runtime
        .spawn(async move { swallow(TcpListener::from_std(socket).unwrap()).await });
    setup.withstand("connections eaten", |address, stop| async move {
        let mut held = Vec::new();
        for _ in 0..WAITING {
            let Ok(mut socket) = TcpStream::connect(address).await else {
                break;
            };
            let request = b"GET /greedy HTTP/1.1\r\nHost: a.example\r\n\r\n";
            if socket.write_all(request).await.is_ok() {
                held.push(socket);
            }
        }
        until(&stop).await;
        held.len() as u64
    });
}
