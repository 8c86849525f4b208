//! Rules of RFC 9110 and RFC 9112 for message heads, as pure functions over byte slices.
//!
//! HTTP/1.1 and HTTP/2 messages are validated by the same code: a parser passes a start line and fields, this module
//! returns a [`ValidatedRequest`], a [`ValidatedResponse`] or a [`Rejection`]. It is a security boundary, so it is
//! strict where the RFCs leave a choice, and each decision is made in one place: framing in [`RequestFraming::decide`]
//! and [`ResponseFraming::decide`], the host in [`Authority::parse`], the path for route matching in [`normal_path`].
//!
//! It knows no route, socket or clock, and does not allocate, except for a path that is not in normal form.

mod accept_encoding;
mod authority;
mod connection;
mod content_coding;
mod culprit;
mod field;
mod flag_field;
mod framing;
mod grammar;
pub mod handshake;
mod limits;
mod method;
mod path;
mod rejection;
mod request;
mod response;
pub mod swar;
mod target;
mod trailers;
mod version;

pub use accept_encoding::AcceptEncoding;
pub use authority::{Authority, Host};
pub use connection::{ConnectionOptions, MAX_NOMINATIONS};
pub use content_coding::{
    forbids_transform, has_weak_tag, has_whole_content, is_about_bytes, is_digest, is_entity_tag,
    is_of_content, is_weak_tag, varies_by_encoding,
};
pub use culprit::{LooseField, field_at_fault, loose_fields};
pub use field::{Field, KnownField, KnownSet};
pub use flag_field::{FLAG_FIELD, is_flag_field};
pub use framing::{FramingFields, RequestFraming, ResponseFraming};
pub use grammar::{is_field_value, is_target, is_token, is_token_byte, trim};
pub use limits::{Limits, Underscores};
pub use method::Method;
pub use path::normal_path;
pub use rejection::{Reason, Rejection};
pub use request::{RequestLine, ValidatedRequest};
pub use response::{RequestContextForResponse, StatusLine, ValidatedResponse};
pub use target::{Form, Target};
pub use trailers::is_trailer_allowed;
pub use version::Version;
