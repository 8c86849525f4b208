//! Attacks on the admin API and on the observe listener: operators and probes are served.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::Runtime,
    time::{Instant, sleep, timeout},
};

use super::{ATTACK, MEMORY, Setup, mebibytes, report, resident};

/// Longest time that an operator or a probe waits, on a connection of its own.
const SERVED: Duration = Duration::from_secs(1);

/// Longest time of a scrape while other renderings are not read.
const SCRAPED: Duration = Duration::from_secs(8);

const ROUTES: usize = 1_000;

/// The address of a listener of this kind, from the log.
fn address(setup: &Setup, kind: &str) -> SocketAddr {
    let log = setup.switchback.log();
    let line = log
        .lines()
        .find(|line| line.contains(&format!("kind=\"{kind}\"")));
    let address = line.unwrap().split_once("listening address=").unwrap().1;
    address.split(' ').next().unwrap().parse().unwrap()
}

/// The status of a response, on a connection of its own.
async fn status(address: SocketAddr, request: &str, within: Duration) -> String {
    let answer = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[9..12]).into_owned()
    };
    timeout(within, answer).await.expect("an answer in time")
}

#[test]
fn silent_admin_connections_keep_no_client_out() {
    let setup = Setup::start("admin.tokens = [{ role = \"operator\", env = \"PATH\" }]\n");
    let admin = address(&setup, "admin");
    let token = std::env::var("PATH").unwrap();
    let rollback = format!(
        "POST /v1/rollback HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    let livez = format!("GET /livez HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    let runtime = Runtime::new().unwrap();
    let slowest = runtime.block_on(async {
        let crowd = tokio::spawn(async move {
            let mut silent = Vec::new();
            loop {
                silent.push(TcpStream::connect(admin).await.unwrap());
                if silent.len() == 2_000 {
                    silent.drain(..500);
                    sleep(Duration::from_millis(10)).await;
                }
            }
        });
        let (start, mut slowest) = (Instant::now(), Duration::ZERO);
        while start.elapsed() < ATTACK {
            let asked = Instant::now();
            assert_eq!(status(admin, &rollback, SERVED).await, "409");
            assert_eq!(status(admin, &livez, SERVED).await, "200");
            slowest = slowest.max(asked.elapsed());
            sleep(Duration::from_millis(20)).await;
        }
        crowd.abort();
        slowest
    });
    report(
        "silent admin connections",
        &format!("a rollback and a probe took {slowest:?} at most"),
    );
}

/// A client that requests the metrics and reads nothing of the response.
async fn ask_and_do_not_read(observe: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut socket = socket.connect(observe).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: a.example\r\n\r\n";
    socket.write_all(request).await.unwrap();
    socket
}

#[test]
fn unread_scrapes_cost_little() {
    let mut settings = "observe.address = \"127.0.0.1:0\"\n".to_owned();
    for number in 0..ROUTES {
        write!(
            settings,
            "[[routes]]\nname = \"r{number}\"\npath = \"/r{number}\"\nsplit = {{ one = 1 }}\n"
        )
        .unwrap();
    }
    let setup = Setup::start(&settings);
    let observe = address(&setup, "observe");
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for number in 0..ROUTES {
            let request =
                format!("GET /r{number} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            assert_eq!(status(setup.address, &request, SCRAPED).await, "200");
        }
        let before = resident(setup.switchback.child.id());
        let mut unread = Vec::new();
        for _ in 0..300 {
            unread.push(ask_and_do_not_read(observe).await);
        }
        sleep(ATTACK).await;
        let livez = "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        assert_eq!(status(observe, livez, SERVED).await, "200");
        let scrape = "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        assert_eq!(status(observe, scrape, SCRAPED).await, "200");
        let more = resident(setup.switchback.child.id()).saturating_sub(before);
        report(
            "unread scrapes",
            &format!("memory {}", mebibytes(before, more)),
        );
        assert!(more < MEMORY, "{} MiB more", more >> 20);
    });
}
