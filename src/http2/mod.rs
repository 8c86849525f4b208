//! HTTP/2 without I/O: for now its header compression.

pub mod hpack;
