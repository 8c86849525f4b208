//! Reads and writes of a TCP socket that never wait.

use std::io::{self, IoSlice, Read as _, Write as _};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// One read. A short one clears the readiness, since the socket is empty then.
pub(super) fn read_tcp(tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    let result = tcp.try_io(Interest::READABLE, || {
        let socket = SockRef::from(tcp);
        got = (&*socket).read(buffer)?;
        clear_when(got > 0 && got < buffer.len())
    });
    settle(got, result)
}

/// One write. A short one clears the readiness, since the socket is full then.
pub(super) fn write_tcp(tcp: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut took = 0;
    let result = tcp.try_io(Interest::WRITABLE, || {
        let socket = SockRef::from(tcp);
        took = match slices {
            [only] => (&*socket).write(only)?,
            several => (&*socket).write_vectored(several)?,
        };
        clear_when(took > 0 && took < wanted)
    });
    settle(took, result)
}

/// Acknowledges what has come at once, instead of with the next data that is sent or after a delay of 40 ms and more.
pub(super) fn acknowledge_tcp(tcp: &TcpStream) {
    // Without it the acknowledgement is late, as it would have been.
    let _ = SockRef::from(tcp).set_tcp_quickack(true);
}

/// Clears the readiness: the runtime does so when the call returns `WouldBlock`.
fn clear_when(short: bool) -> io::Result<()> {
    if short {
        Err(io::ErrorKind::WouldBlock.into())
    } else {
        Ok(())
    }
}

fn settle(moved: usize, result: io::Result<()>) -> io::Result<usize> {
    match result {
        Err(error) if moved == 0 => Err(error),
        _ => Ok(moved),
    }
}
