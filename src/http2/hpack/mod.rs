//! Header compression of HTTP/2 (RFC 7541), without I/O.
//!
//! A [`Decoder`] reads consecutive header blocks into a [`FieldBlock`]. It separates two kinds of errors. After a
//! [`DecodeError`] the tables of the two sides may differ, so the connection ends. A [`FieldError`] concerns one
//! field: the message is malformed and the connection goes on. So a block with a malformed field is read to its end,
//! but nothing is stored beyond its [`BlockLimits`].
//!
//! Names and values are classified and validated once, when they arrive as literals. The table keeps the result, so an
//! indexed field is only copied.
//!
//! An [`Encoder`] keeps no state between blocks: names of the static table are sent as their index, everything else as
//! literals without indexing or compression. On the short way to a peer that costs a few bytes, saves a table search
//! for each field, and needs no memory per connection.
//!
//! ```
//! use switchback_data_plane::http2::hpack::{BlockLimits, Decoder, Encoder, FieldBlock, Name};
//! use switchback_data_plane::message::KnownField;
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
//! # Ok::<(), switchback_data_plane::http2::hpack::DecodeError>(())
//! ```

mod block;
mod decode_error;
mod decoder;
mod encoder;
mod huffman;
mod integer;
mod table;

#[cfg(test)]
mod reference;

pub use block::{BlockField, BlockFields, BlockLimits, FieldBlock, FieldError, Name};
pub use decode_error::DecodeError;
pub use decoder::Decoder;
pub use encoder::Encoder;
