//! A client over a raw socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::TIMEOUT;
use super::origin::{read_chunks, read_head, values};

/// One connection.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

/// A response as the client received it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Start line and fields, with the empty line.
    pub(crate) head: String,
    /// The body, decoded.
    pub(crate) body: Vec<u8>,
    /// The trailer section as it came.
    pub(crate) trailers: String,
    /// The body ended as its framing says.
    pub(crate) is_whole: bool,
}

impl Response {
    /// All values of a field; names match in any case.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        values(&self.head, name)
    }

    /// The only value of a field.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(
            values.len() <= 1,
            "{name} stands there {} times: {}",
            values.len(),
            self.head
        );
        values.first().copied()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            reader: BufReader::new(stream),
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream().write_all(bytes.as_ref()).unwrap();
        self
    }

    /// The socket.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// The buffered reader of the socket.
    pub(crate) fn reader(&mut self) -> &mut BufReader<TcpStream> {
        &mut self.reader
    }

    /// Sends a `GET` and reads the response.
    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: agents.test\r\n\r\n"))
            .response()
    }

    /// Sends a `POST` and reads the response.
    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> Response {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: agents.test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.send(head).send(body).response()
    }

    /// Reads one final response; informational ones are skipped.
    pub(crate) fn response(&mut self) -> Response {
        loop {
            let response = self.try_response().expect("a response");
            if response.status >= 200 || response.status == 101 {
                return response;
            }
        }
    }

    /// Reads the next response, informational or final; nothing at the end of the connection.
    pub(crate) fn try_response(&mut self) -> Option<Response> {
        read_response(&mut self.reader, false)
    }

    /// Reads the response to a `HEAD`.
    pub(crate) fn head_response(&mut self) -> Response {
        read_response(&mut self.reader, true).expect("a response")
    }

    /// Reads a head, up to its empty line.
    pub(crate) fn response_head(&mut self) -> String {
        read_head(&mut self.reader).expect("a head")
    }

    /// Reads exactly this many bytes.
    pub(crate) fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads a line.
    pub(crate) fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line
    }

    /// Reads one chunk of a body; an empty one is the end of the body.
    pub(crate) fn chunk(&mut self) -> String {
        let size = self.read_line();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let mut chunk = self.read_exact(size + 2);
        chunk.truncate(size);
        String::from_utf8(chunk).unwrap()
    }

    /// True if the connection ends here, cleanly or by a reset, without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => rest.is_empty(),
            Err(error) => rest.is_empty() && error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Sends bytes on a connection of its own, and returns all bytes until the connection ends, by a close or by a reset.
pub(crate) fn exchange(address: SocketAddr, bytes: &str) -> String {
    let mut client = Client::connect(address);
    let mut received = Vec::new();
    // A reset may follow what counts.
    let _ = client.send(bytes).reader().read_to_end(&mut received);
    String::from_utf8_lossy(&received).into_owned()
}

/// Reads one response, or nothing at the end of the connection.
pub(crate) fn read_response(reader: &mut impl BufRead, to_head: bool) -> Option<Response> {
    let head = read_head(reader)?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut response = Response {
        status,
        head,
        is_whole: true,
        ..Response::default()
    };
    if to_head || matches!(status, 100..=199 | 204 | 304) {
        return Some(response);
    }
    if response.value("transfer-encoding").is_some() {
        match read_chunks(reader) {
            Some((body, trailers)) => (response.body, response.trailers) = (body, trailers),
            None => response.is_whole = false,
        }
    } else if let Some(length) = response.value("content-length") {
        let length: usize = length.parse().ok()?;
        let read = reader.take(length as u64).read_to_end(&mut response.body);
        response.is_whole = read.is_ok() && response.body.len() == length;
    } else {
        response.is_whole = reader.read_to_end(&mut response.body).is_ok();
    }
    Some(response)
}
