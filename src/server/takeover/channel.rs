//! Messages with file descriptors over a Unix socket: a length, then JSON.

use std::{
    io::{self, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use rustix::{
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, UCred, recvmsg, sendmsg, sockopt::socket_peercred,
    },
    process::{Signal, kill_process},
};
use serde::{Serialize, de::DeserializeOwned};

/// Descriptors that go with one message; the system allows 253.
pub(super) const MOST_DESCRIPTORS: usize = 64;
/// Longest message: a large table.
const LONGEST: usize = 256 << 20;
/// Timeout for sending: the peer reads unless it hangs.
const SEND: Duration = Duration::from_secs(5);

/// One end of the socket between the two processes.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    peer: UCred,
}

impl Channel {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(SEND))?;
        let peer = socket_peercred(&stream)?;
        Ok(Self { stream, peer })
    }

    /// True if the peer has the user of this process.
    pub(super) fn is_of_same_user(&self) -> bool {
        self.peer.uid == rustix::process::geteuid()
    }

    /// Process id of the peer.
    pub(super) fn process(&self) -> i32 {
        self.peer.pid.as_raw_nonzero().get()
    }

    /// Ends the peer, which hangs.
    pub(super) fn kill_peer(&self) {
        if let Err(error) = kill_process(self.peer.pid, Signal::KILL) {
            tracing::warn!(%error, process = self.process(), "the new process cannot be ended");
        }
    }

    /// Sends a message.
    pub(super) fn send(&self, message: &impl Serialize) -> io::Result<()> {
        self.send_with(message, &[])
    }

    /// Sends a message with copies of descriptors, [`MOST_DESCRIPTORS`] at most.
    pub(super) fn send_with(
        &self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut frame = vec![0; 4];
        serde_json::to_writer(&mut frame, message)?;
        let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
        frame[..4].copy_from_slice(&length.to_le_bytes());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let parts = [IoSlice::new(&frame)];
        let sent = sendmsg(
            self.stream.as_fd(),
            &parts,
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )?;
        (&self.stream).write_all(&frame[sent..])
    }

    /// The next message with its descriptors. An end of the stream is an error, and so is a longer wait.
    pub(super) fn receive<T: DeserializeOwned>(
        &self,
        within: Option<Duration>,
    ) -> io::Result<(T, Vec<OwnedFd>)> {
        self.stream.set_read_timeout(within)?;
        let (mut length, mut descriptors) = ([0; 4], Vec::new());
        let mut read = 0;
        while read < length.len() {
            read += self.read_with(&mut length[read..], &mut descriptors)?;
        }
        let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut content = Vec::new();
        (&self.stream)
            .take(length as u64)
            .read_to_end(&mut content)?;
        if content.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((serde_json::from_slice(&content)?, descriptors))
    }

    fn read_with(&self, bytes: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(bytes)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(self.stream.as_fd(), &mut parts, &mut ancillary, flags)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        match received.bytes {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => Ok(bytes),
        }
    }
}

/// True if an error says that the time was over, not that the peer is gone.
pub(super) fn is_late(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[test]
    fn a_listening_socket_goes_with_its_message_and_keeps_what_waits_in_its_queue() {
        let (here, there) = UnixStream::pair().unwrap();
        let (here, there) = (Channel::new(here).unwrap(), Channel::new(there).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"hi").unwrap();
        here.send_with(&"with", &[listener.as_fd()]).unwrap();
        here.send(&"without").unwrap();
        drop(listener);
        let within = Some(Duration::from_secs(10));
        let (text, mut sockets) = there.receive::<String>(within).unwrap();
        assert_eq!((text.as_str(), sockets.len()), ("with", 1));
        let (text, none) = there.receive::<String>(within).unwrap();
        assert_eq!((text.as_str(), none.len()), ("without", 0));
        let (mut accepted, _) = TcpListener::from(sockets.remove(0)).accept().unwrap();
        let mut read = [0; 2];
        accepted.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"hi");
        drop(here);
        let gone = there.receive::<String>(within).unwrap_err();
        assert!(!is_late(&gone));
    }

    #[test]
    fn a_peer_that_says_nothing_is_late_and_not_gone() {
        let (here, _there) = UnixStream::pair().unwrap();
        let here = Channel::new(here).unwrap();
        assert!(here.is_of_same_user());
        let error = here
            .receive::<String>(Some(Duration::from_millis(1)))
            .unwrap_err();
        assert!(is_late(&error), "{error}");
    }
}
