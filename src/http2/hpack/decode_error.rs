//! Errors of header decoding.

/// Fatal decoding error: the tables of the two sides may differ from here on, so the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Far more was inserted into the table than the limits on a block and a table allow for.
    #[error("too many table insertions in a block")]
    Excess,
    /// Index without a table entry.
    #[error("an index points beyond the table")]
    InvalidIndex,
    /// String with a forbidden code or invalid padding.
    #[error("invalid Huffman string")]
    InvalidHuffman,
    /// Integer that is too large or too long.
    #[error("an integer is too large")]
    InvalidInteger,
    /// Table size update that exceeds the announced size, or is not at the start of a block.
    #[error("invalid table size update")]
    InvalidTableSize,
    /// The block ends within a field.
    #[error("a block ends in the middle of a field")]
    Truncated,
}
