//! HPACK decoder: header blocks to fields.

use super::block::{BlockLimits, FieldBlock, FieldError, Name, OVERHEAD, value_flaw};
use super::decode_error::DecodeError;
use super::table::{Slot, Table};
use super::{huffman, integer};

/// Decoder for one direction of a connection. It must read all header blocks, in order.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// Largest table size that the peer may set.
    most: usize,
}

/// Default table size. A peer may use it before it has read our SETTINGS.
const DEFAULT_TABLE: u32 = 4096;

/// Limit on what a block may insert into the table after it exceeded its limits. A few bytes can refer to an entry of
/// some thousand bytes, which must be copied, so this bounds the work.
const MAX_EXCESS: usize = 1 << 20;

/// A literal, without its kind of indexing.
struct Literal {
    start: usize,
    name_length: usize,
    name: Name,
    flaw: Option<FieldError>,
}

// === impl Decoder ===

impl Decoder {
    /// Creates a decoder. `table_size` is the announced `SETTINGS_HEADER_TABLE_SIZE`. Allocates nothing yet.
    pub fn new(table_size: u32) -> Self {
        Self {
            table: Table::new(DEFAULT_TABLE as usize),
            most: table_size.max(DEFAULT_TABLE) as usize,
        }
    }

    /// Decodes one complete block and replaces the content of `into`.
    ///
    /// # Errors
    ///
    /// If the compression is invalid. The decoder must not be used after that, and `into` is empty.
    pub fn decode(
        &mut self,
        mut block: &[u8],
        limits: BlockLimits,
        into: &mut FieldBlock,
    ) -> Result<(), DecodeError> {
        into.start(limits);
        let decoded = self.decode_all(&mut block, into);
        if decoded.is_err() {
            into.clear();
        }
        decoded
    }

    fn decode_all(&mut self, block: &mut &[u8], into: &mut FieldBlock) -> Result<(), DecodeError> {
        self.resize(block)?;
        let mut excess = 0;
        while let Some(&first) = block.first() {
            match first {
                0x80.. => {
                    let row = self.row(integer::read(block, 7)?)?;
                    into.add(row.text, row.name_length, row.name, row.flaw);
                }
                0x40..0x80 => self.indexed_literal(block, into, &mut excess)?,
                0x20..0x40 => return Err(DecodeError::InvalidTableSize),
                ..0x20 => self.plain_literal(block, into)?,
            }
        }
        Ok(())
    }

    /// Reads table size updates at the start of a block.
    fn resize(&mut self, block: &mut &[u8]) -> Result<(), DecodeError> {
        while let Some(0x20..0x40) = block.first() {
            let size = integer::read(block, 5)?;
            if size > self.most {
                return Err(DecodeError::InvalidTableSize);
            }
            self.table.resize(size);
        }
        Ok(())
    }

    #[inline]
    fn row(&self, index: usize) -> Result<Slot<'_>, DecodeError> {
        self.table.row(index).ok_or(DecodeError::InvalidIndex)
    }

    /// Reads a literal that is inserted into the table, even if it does not fit into the block.
    fn indexed_literal(
        &mut self,
        block: &mut &[u8],
        into: &mut FieldBlock,
        excess: &mut usize,
    ) -> Result<(), DecodeError> {
        let is_full = into.is_full();
        let literal = self.literal(block, 6, into.draft(), true)?;
        let text = &into.draft()[literal.start..];
        let length = text.len();
        self.table.insert(&literal.row(text));
        if is_full {
            *excess += length + OVERHEAD;
            if *excess > MAX_EXCESS {
                return Err(DecodeError::Excess);
            }
        }
        literal.add_to(into, length);
        Ok(())
    }

    /// Reads a literal that is not inserted into the table.
    fn plain_literal(
        &mut self,
        block: &mut &[u8],
        into: &mut FieldBlock,
    ) -> Result<(), DecodeError> {
        let is_full = into.is_full();
        let literal = self.literal(block, 4, into.draft(), !is_full)?;
        let length = into.draft().len() - literal.start;
        literal.add_to(into, length);
        Ok(())
    }

    /// Appends a literal to `text`; the name of a table entry only if it `is_wanted`.
    fn literal(
        &self,
        block: &mut &[u8],
        prefix: u32,
        text: &mut Vec<u8>,
        is_wanted: bool,
    ) -> Result<Literal, DecodeError> {
        let start = text.len();
        let (name, name_flaw) = match integer::read(block, prefix)? {
            0 => {
                string(block, text)?;
                Name::of(&text[start..])
            }
            index => {
                let row = self.row(index)?;
                if is_wanted {
                    text.extend_from_slice(row.name_text());
                }
                (row.name, row.name_flaw())
            }
        };
        let value = text.len();
        string(block, text)?;
        Ok(Literal {
            start,
            name_length: value - start,
            name,
            flaw: name_flaw.or_else(|| value_flaw(&text[value..])),
        })
    }
}

/// Appends a string, decompressed if needed.
#[inline]
fn string(block: &mut &[u8], text: &mut Vec<u8>) -> Result<(), DecodeError> {
    let is_compressed = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer::read(block, 7)?;
    let (bytes, rest) = block
        .split_at_checked(length)
        .ok_or(DecodeError::Truncated)?;
    if is_compressed {
        huffman::decode(block, length, text)?;
    } else {
        text.extend_from_slice(bytes);
    }
    *block = rest;
    Ok(())
}

// === impl Literal ===

impl Literal {
    fn row<'t>(&self, text: &'t [u8]) -> Slot<'t> {
        Slot {
            text,
            name_length: self.name_length,
            name: self.name,
            flaw: self.flaw,
        }
    }

    fn add_to(self, into: &mut FieldBlock, length: usize) {
        into.add_draft(self.start, length, self.name_length, self.name, self.flaw);
    }
}

#[cfg(test)]
mod tests;
