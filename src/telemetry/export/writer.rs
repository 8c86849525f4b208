//! Thread that writes lines to a file, standard output or a socket, where it may block as long as it likes.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket},
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

use crate::telemetry::names;

/// Timeout for connecting to an agent, and for each write to it.
const AGENT: Duration = Duration::from_secs(2);

/// Target of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineTarget {
    /// Standard output.
    Stdout,
    /// A file that is appended to. It is opened for each batch, so that it can be moved away.
    File(PathBuf),
    /// An agent over TCP, `host:port`.
    Tcp(String),
    /// An agent over UDP, `host:port`: each line is a datagram.
    Udp(String),
}

/// A writing thread. While it writes a batch, one waits; further ones are dropped and counted.
#[derive(Debug)]
pub(super) struct LineWriter {
    exporter: &'static str,
    batches: SyncSender<Batch>,
}

/// Lines, and where their end is reported.
type Batch = (Vec<String>, oneshot::Sender<()>);

struct Thread {
    exporter: &'static str,
    target: LineTarget,
    stream: Option<TcpStream>,
    was_taken: bool,
}

impl LineWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(exporter: &'static str, target: LineTarget) -> io::Result<Self> {
        let (batches, received) = sync_channel(1);
        let thread = Thread {
            exporter,
            target,
            stream: None,
            was_taken: true,
        };
        thread::Builder::new()
            .name(format!("export-{exporter}"))
            .spawn(move || thread.run(&received))?;
        Ok(Self { exporter, batches })
    }

    /// Hands a batch over; completes when it is written. If one waits already, the batch is dropped.
    pub(super) async fn write(&self, lines: Vec<String>) {
        let count = lines.len() as u64;
        let (done, written) = oneshot::channel();
        if self.batches.try_send((lines, done)).is_err() {
            report(self.exporter, 0, count);
            return;
        }
        // An error: the thread has ended, and has counted.
        let _done = written.await;
    }
}

impl Thread {
    fn run(mut self, batches: &Receiver<Batch>) {
        while let Ok((lines, done)) = batches.recv() {
            let mut sent = 0;
            let result = self.write(&lines, &mut sent);
            if result.is_err() {
                self.stream = None;
            }
            report(self.exporter, sent, lines.len() as u64 - sent);
            self.log(result);
            // An error: the exporter has not waited for it.
            let _told = done.send(());
        }
    }

    fn write(&mut self, lines: &[String], sent: &mut u64) -> io::Result<()> {
        match &self.target {
            LineTarget::Stdout => write_lines(io::stdout().lock(), lines, sent),
            LineTarget::File(path) => {
                let file = OpenOptions::new().append(true).create(true).open(path)?;
                write_lines(file, lines, sent)
            }
            LineTarget::Tcp(address) => {
                let stream = match &mut self.stream {
                    Some(stream) => stream,
                    empty => empty.insert(connect(address)?),
                };
                write_lines(stream, lines, sent)
            }
            LineTarget::Udp(address) => {
                let socket = datagrams(address)?;
                for line in lines {
                    socket.send(line.as_bytes())?;
                    *sent += 1;
                }
                Ok(())
            }
        }
    }

    /// Logs when the target begins to take nothing, and when it takes everything again.
    fn log(&mut self, result: io::Result<()>) {
        let (exporter, target) = (self.exporter, &self.target);
        let is_taken = result.is_ok();
        match result {
            Err(error) if self.was_taken => tracing::warn!(
                %error,
                exporter,
                ?target,
                "metrics cannot be written; what cannot be written is dropped and counted"
            ),
            Ok(()) if !self.was_taken => {
                tracing::info!(exporter, ?target, "metrics are written again");
            }
            _ => {}
        }
        self.was_taken = is_taken;
    }
}

fn write_lines(mut out: impl Write, lines: &[String], sent: &mut u64) -> io::Result<()> {
    for line in lines {
        out.write_all(format!("{line}\n").as_bytes())?;
        *sent += 1;
    }
    out.flush()
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, AGENT) {
            Ok(stream) => {
                stream.set_write_timeout(Some(AGENT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn datagrams(address: &str) -> io::Result<UdpSocket> {
    let found = address.to_socket_addrs()?.next();
    let address = found.ok_or(io::ErrorKind::NotFound)?;
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_write_timeout(Some(AGENT))?;
    Ok(socket)
}

fn report(exporter: &'static str, sent: u64, dropped: u64) {
    for (result, lines) in [("sent", sent), ("dropped", dropped)] {
        let labels = [("exporter", exporter), ("result", result)];
        metrics::counter!(names::EXPORTED.0, &labels).increment(lines);
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, net::TcpListener};

    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("emf"), folder.path().join("emf.1"));
        let writer = LineWriter::start("test", LineTarget::File(path.clone())).unwrap();
        writer.write(lines("a\nb")).await;
        std::fs::rename(&path, &moved).unwrap();
        writer.write(lines("c")).await;
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "a\nb\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "c\n");
    }

    #[tokio::test]
    async fn an_agent_over_tcp_that_was_started_again_gets_the_next_batch() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let writer = LineWriter::start("test", LineTarget::Tcp(address.to_string())).unwrap();
        let mut text = [0; 4];
        writer.write(lines("a\nb")).await;
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"a\nb\n");
        drop((stream, listener));
        // The first writes after the end may still be taken by the system.
        for _ in 0..3 {
            writer.write(lines("lost")).await;
        }
        let listener = TcpListener::bind(address).unwrap();
        writer.write(lines("c\nd")).await;
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"c\nd\n");
    }

    #[tokio::test]
    async fn over_udp_each_line_is_a_datagram() {
        let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = agent.local_addr().unwrap().to_string();
        let writer = LineWriter::start("test", LineTarget::Udp(address)).unwrap();
        writer.write(lines("one\ntwo")).await;
        let mut text = [0; 9];
        for line in ["one", "two"] {
            let length = agent.recv(&mut text).unwrap();
            assert_eq!(&text[..length], line.as_bytes());
        }
    }

    #[tokio::test]
    async fn an_agent_that_reads_nothing_holds_two_batches_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let writer = LineWriter::start("test", LineTarget::Tcp(address)).unwrap();
        let long = vec!["x".repeat(1 << 20); 64];
        let mut first = std::pin::pin!(writer.write(long.clone()));
        let brief = Duration::from_millis(50);
        assert!(tokio::time::timeout(brief, &mut first).await.is_err());
        let _agent = listener.accept().unwrap();
        // The thread has the first batch and connects or writes, so the next batch waits and the one after it does not.
        let mut second = std::pin::pin!(writer.write(lines("a")));
        assert!(tokio::time::timeout(brief, &mut second).await.is_err());
        tokio::time::timeout(brief, writer.write(long))
            .await
            .unwrap();
        // The timeout of its writes ends it.
        tokio::time::timeout(AGENT * 4, first).await.unwrap();
    }
}
