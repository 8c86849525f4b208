//! Messages of a stream: objects in lines, with a result or an error.

use serde::{Deserialize, de::DeserializeOwned};

use super::{error::WireError, refusal::RefusalText};
use crate::net::Lines;

/// Reader of a stream.
#[derive(Debug)]
pub struct StreamReader {
    lines: Lines,
    ended: bool,
}

#[derive(Deserialize)]
struct Message<T> {
    result: Option<T>,
    error: Option<RefusalText>,
}

impl StreamReader {
    /// A reader of messages up to a length.
    pub const fn up_to(longest: usize) -> Self {
        Self {
            lines: Lines::up_to(longest),
            ended: false,
        }
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// If a message is too long.
    pub fn add(&mut self, piece: &[u8]) -> Result<(), WireError> {
        Ok(self.lines.add(piece)?)
    }

    /// Ends the stream: an error has no line end behind it.
    pub const fn end(&mut self) {
        self.ended = true;
    }

    /// The next message; `None` if it has not come yet.
    ///
    /// # Errors
    /// If it is an error of etcd, or none of its messages.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<T>, WireError> {
        let line = match self.lines.take() {
            Some(line) => line,
            None if self.ended => self.lines.take_rest(),
            None => return Ok(None),
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        match super::answer::read(&line)? {
            Message {
                error: Some(error), ..
            } => Err(WireError::Refused(error.into())),
            Message {
                result: Some(result),
                ..
            } => Ok(Some(result)),
            Message { .. } => Err(WireError::Malformed(
                "neither a result nor an error".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::wire::{GrpcCode, LeaseAnswer};

    #[test]
    fn an_error_ends_a_stream_without_the_end_of_a_line() {
        let mut reader = StreamReader::up_to(200);
        reader.add(b"{\"result\":{\"TTL\":\"5\"}}\n").unwrap();
        let error = br#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Service Unavailable"}}"#;
        reader.add(error).unwrap();
        assert_eq!(reader.take(), Ok(Some(LeaseAnswer { seconds: 5 })));
        assert_eq!(reader.take::<LeaseAnswer>(), Ok(None));
        reader.end();
        let Err(WireError::Refused(refusal)) = reader.take::<LeaseAnswer>() else {
            panic!("an error is one");
        };
        assert_eq!(
            (refusal.code, &*refusal.message),
            (GrpcCode::Unavailable, "etcdserver: no leader")
        );
        assert_eq!(reader.take::<LeaseAnswer>(), Ok(None));
    }

    #[test]
    fn what_is_too_long_or_no_message_is_refused() {
        let mut reader = StreamReader::up_to(20);
        assert_eq!(reader.add(&[b'x'; 21]), Err(WireError::Large(20)));
        reader.add(b"{}\n[\n").unwrap();
        assert!(reader.take::<LeaseAnswer>().is_err());
        assert!(reader.take::<LeaseAnswer>().is_err());
    }
}
