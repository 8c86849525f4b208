//! Metrics of answers that are compressed.

use super::metric::{Kind, Metric};

/// Bytes of bodies before their compression.
pub const COMPRESSED_BYTES_IN: Metric = (
    "switchback_compressed_bytes_in_total",
    Kind::Counter,
    "Body bytes of compressed answers before their compression, by route",
);
/// Bytes of bodies after their compression.
pub const COMPRESSED_BYTES_OUT: Metric = (
    "switchback_compressed_bytes_out_total",
    Kind::Counter,
    "Body bytes of compressed answers after their compression, by route",
);
/// Answers that found no compressor.
pub const COMPRESSORS_BUSY: Metric = (
    "switchback_compressors_busy_total",
    Kind::Counter,
    "Answers sent uncompressed because every compressor of their worker was in use, by route",
);
