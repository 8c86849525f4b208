//! Messages between the proxy and its history's writer process: a length, then numbers and byte strings.
//!
//! Both ends are the same program, so messages carry no version and no names; an invalid message closes the channel.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    net::SendFlags,
};

/// Subcommand of the command line that starts a writer process.
pub const SUBCOMMAND: &str = "history-writer";

pub(super) const ASK_LOCK: u64 = 1;
pub(super) const ASK_OPEN: u64 = 2;
pub(super) const ASK_WRITE: u64 = 3;
pub(super) const ASK_LAST: u64 = 4;

/// Limit on a message: a whole history at a start. Usual messages are a few kilobytes.
const LONGEST: u64 = 1 << 30;

/// Initial buffer for a message.
const MOST: usize = 64 * 1024;

/// Encoder of a message.
#[derive(Debug, Default)]
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    pub(super) fn number(mut self, number: u64) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.number(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// The message with its length in front.
    fn framed(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(8 + self.0.len());
        frame.extend((self.0.len() as u64).to_le_bytes());
        frame.extend(&self.0);
        frame
    }

    pub(super) fn optional(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            Some(bytes) => self.number(1).bytes(bytes),
            None => self.number(0),
        }
    }
}

/// Decoder of a message.
#[derive(Debug)]
pub(super) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn take(&mut self, length: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn number(&mut self) -> io::Result<u64> {
        let bytes = self.take(8)?.try_into();
        Ok(u64::from_le_bytes(bytes.expect("eight were taken")))
    }

    pub(super) fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let length = usize::try_from(self.number()?).map_err(io::Error::other)?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    pub(super) fn optional(&mut self) -> io::Result<Option<&'a [u8]>> {
        match self.number()? {
            0 => Ok(None),
            _ => self.bytes().map(Some),
        }
    }
}

/// Sends a message.
pub(super) fn send(mut channel: &UnixStream, message: &Encoder) -> io::Result<()> {
    channel.write_all(&message.framed())
}

/// Sends a message if there is room; `false` if there is none and nothing was sent.
pub(super) fn send_if_room(mut channel: &UnixStream, message: &Encoder) -> io::Result<bool> {
    let frame = message.framed();
    let sent = match rustix::net::send(channel, &frame, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Ok(sent) => sent,
        Err(Errno::AGAIN) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    // A message sent in part must be completed.
    channel.write_all(&frame[sent..]).map(|()| true)
}

/// Waits until the peer has sent something or closed; `false` after the limit.
pub(super) fn is_readable(channel: &UnixStream, limit: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    let mut lanes = [PollFd::new(channel, PollFlags::IN)];
    match rustix::event::poll(&mut lanes, Some(&limit)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Receives a message. It is an error if the peer has closed.
pub(super) fn receive(mut channel: &UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    channel.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // Most messages are short and are read at once.
    let mut message = Vec::with_capacity(usize::try_from(length).unwrap_or(MOST).min(MOST));
    let read = channel.take(length).read_to_end(&mut message)?;
    if read as u64 == length {
        Ok(message)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_read_when_the_sender_is_gone() {
        let (here, there) = UnixStream::pair().unwrap();
        let message = Encoder::default().number(7).bytes(b"a").optional(None);
        send(&here, &message.optional(Some(b""))).unwrap();
        drop(here);
        let message = receive(&there).unwrap();
        let mut reading = Decoder::of(&message);
        assert_eq!(reading.number().unwrap(), 7);
        assert_eq!(reading.bytes().unwrap(), b"a");
        assert_eq!(reading.optional().unwrap(), None);
        assert_eq!(reading.optional().unwrap(), Some(&b""[..]));
        assert!(reading.number().is_err());
        assert!(receive(&there).is_err());
    }

    #[test]
    fn half_a_message_is_none_and_a_length_beyond_all_measure_takes_no_memory() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&100_u64.to_le_bytes()).unwrap();
        here.write_all(b"half").unwrap();
        drop(here);
        assert!(receive(&there).is_err());
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&u64::MAX.to_le_bytes()).unwrap();
        let error = receive(&there).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
