//! An HTTP/1.1 codec without I/O, for both sides of a proxy.
//!
//! It turns bytes into validated heads and bodies, and heads and bodies into bytes; it does not know routes, sockets or
//! clocks. The caller owns the buffers:
//!
//! 1. [`HeadScan::request`] or [`HeadScan::response`] returns the end of the head in a buffer, and remembers how far it
//!    has searched, so that a peer that sends one byte at a time costs no more than one that sends all at once.
//! 2. [`RequestHead::parse`] or [`ResponseHead::parse`] creates a view of those bytes. It borrows them, allocates
//!    nothing, and is cheap to create again, so that only bytes need to be kept across an await. `validate` then
//!    derives framing, authority, keep-alive and upgrade.
//! 3. [`HeadWriter`] writes a head anew: every name and value is validated again unless its parser did so, and the
//!    framing fields come from the framing alone. It ends in the [`BodyEncoder`] that this framing allows.
//! 4. [`BodyDecoder`] finds the data of a body in a buffer, to its end and not a byte further.
//! 5. [`Exchange`] holds the state of one request on an upstream connection and yields [`Reusable`], the only thing
//!    that lets a connection return to its pool, once both sides were read to the end.
//!
//! It is strict where RFC 9112 allows a recipient to be lenient: bare LF or CR, folded lines, spaces before a colon,
//! empty lines before a head (but for one), chunk sizes with signs or leading spaces are errors. A parser of our own
//! (`start_line.rs`) reads the lines of a head; `httparse` reads trailer sections, and the tests compare with it.
//!
//! ```
//! use switchback_data_plane::http1::{BodyDecoder, FieldSlots, HeadScan, HeadWriter, RequestHead};
//! use switchback_data_plane::message::{Limits, RequestFraming};
//!
//! let limits = Limits::default();
//! let received = b"POST /chat HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi";
//! let end = HeadScan::default().request(received, &limits)?.expect("the head is whole");
//!
//! let mut slots = FieldSlots::new();
//! let head = RequestHead::parse(&received[end.clone()], &limits, &mut slots)?;
//! let facts = head.validate(&limits)?;
//! assert_eq!(facts.framing, RequestFraming::Length(2));
//!
//! let mut sent = Vec::new();
//! let mut writer = HeadWriter::request(&mut sent, head.line().method, facts.target.path, facts.target.query);
//! writer.add("host", "a.example");
//! writer.finish(facts.framing)?;
//! assert_eq!(sent, b"POST /chat HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\n\r\n");
//!
//! let body = BodyDecoder::request(facts.framing, &limits).decode(&received[end.end..])?;
//! assert_eq!((body.data, body.end), (0..2, true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body_decoder;
mod body_encoder;
mod chunk;
mod exchange_state;
mod head;
mod head_writer;
mod line_writer;
mod preface;
mod scan;
mod start_line;
mod status;
mod trailers;

pub use body_decoder::{BodyDecoder, Decoded};
pub use body_encoder::{BodyEncoder, ChunkFraming};
pub use exchange_state::{Exchange, Reusable};
pub use head::{FieldSlots, Fields, RequestHead, ResponseHead};
pub use head_writer::{Framing, HeadWriter};
pub use line_writer::WriteError;
pub use preface::{H2_PREFACE, Preface, h2_preface};
pub use scan::HeadScan;
pub use start_line::HeaderLine;
pub use status::canonical_reason;
pub use trailers::Trailers;
