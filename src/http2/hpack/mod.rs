//! Header compression of HTTP/2 (RFC 7541), without I/O.
//!
//! A [`Decoder`] turns one header block after the other into the fields of a [`FieldBlock`]. It tells two kinds of
//! mistakes apart: a [`DecodeError`] means that the two tables of the connection may differ from now on, so the
//! connection ends; a [`FieldError`] is about one field, so the message is malformed and the connection goes on. A block with a
//! flaw is therefore read to its end, but nothing is stored that would go beyond its [`BlockLimits`].
//!
//! What is known about a name, and whether name and value are valid, is found out once, when they arrive as literals; the
//! tables remember it, so that an indexed field is a copy.
//!
//! An [`Encoder`] remembers nothing from block to block: names of the static table go by their index, everything else as
//! literals that are not indexed and not compressed. On the short way to a peer that costs some bytes, saves the search
//! in a table for each field, and leaves nothing for a connection to keep.
//!
//! ```
//! use switchback::http2::hpack::{BlockLimits, Decoder, Encoder, FieldBlock, Name};
//! use switchback::message::KnownField;
//!
//! let mut sent = Vec::new();
//! let mut encoder = Encoder::new(&mut sent);
//! encoder.status(200);
//! encoder.field(KnownField::Date, b"Date", b"Fri, 20 Nov 2026 12:00:00 GMT", false);
//!
//! let limits = BlockLimits { list: 16 << 10, fields: 100 };
//! let mut block = FieldBlock::new();
//! Decoder::new(4096).decode(&sent, limits, &mut block)?;
//! let names: Vec<_> = block.iter().map(|field| field.name).collect();
//! assert_eq!(names, [Name::Status, Name::Field(KnownField::Date)]);
//! assert_eq!(block.flaw(), None);
//! # Ok::<(), switchback::http2::hpack::DecodeError>(())
//! ```

mod block;
mod decoder;
mod encoder;
mod huffman;
mod integer;
mod table;

#[cfg(test)]
mod reference;

pub use block::{BlockField, BlockFields, BlockLimits, FieldBlock, FieldError, Name};
pub use decoder::{DecodeError, Decoder};
pub use encoder::Encoder;
