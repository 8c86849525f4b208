//! Messages between the proxy and the history writer: a length, then the content in postcard.
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
use serde::{Deserialize, Serialize};

/// Subcommand of the command line that starts a writer process.
pub const HISTORY_WRITER: &str = "history-writer";

/// Argument of that subcommand for the process that writes the files beside the history.
pub const BESIDE: &str = "beside";

/// Limit on a message: a whole history at a start. Usual messages are a few kilobytes.
const LONGEST: u64 = 1 << 30;

/// Initial buffer for a message.
const MOST: usize = 64 * 1024;

/// An encoded message, behind its length.
#[derive(Debug)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn of(content: &impl Serialize) -> Self {
        let frame = postcard::to_extend(content, vec![0; 8]);
        let mut frame = frame.expect("a message has text, numbers and bytes of known length");
        let length = frame.len() as u64 - 8;
        frame[..8].copy_from_slice(&length.to_le_bytes());
        Self(frame)
    }

    #[cfg(test)]
    pub(super) fn content(&self) -> &[u8] {
        &self.0[8..]
    }
}

/// Decodes a received message.
pub(super) fn decode<'m, T: Deserialize<'m>>(message: &'m [u8]) -> io::Result<T> {
    match postcard::take_from_bytes(message) {
        Ok((content, [])) => Ok(content),
        Ok(_) => Err(io::Error::other("a message is longer than its content")),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Sends a message.
pub(super) fn send(mut channel: &UnixStream, message: &Message) -> io::Result<()> {
    channel.write_all(&message.0)
}

/// Sends a message if there is room; `false` if there is none and nothing was sent.
pub(super) fn send_if_room(mut channel: &UnixStream, message: &Message) -> io::Result<bool> {
    let frame = &message.0;
    let sent = match rustix::net::send(channel, frame, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
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
        let sent = (
            7_u64,
            b"a".to_vec(),
            None::<Vec<u8>>,
            Some(Vec::<u8>::new()),
        );
        send(&here, &Message::of(&sent)).unwrap();
        drop(here);
        let message = receive(&there).unwrap();
        assert_eq!(decode(&message).ok(), Some(sent));
        assert!(decode::<(u64, Vec<u8>)>(&message).is_err(), "there is more");
        assert!(decode::<(u64, Vec<u8>)>(&message[..2]).is_err());
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
