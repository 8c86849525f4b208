//! Byte buffers of a worker: fixed sizes and a bounded free list, to which a drop returns them.
//!
//! A connection holds a buffer only while it has bytes in it, so thousands of open token streams cost little.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::config::BUFFER_SIZES;

/// Size class of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BufferSize {
    /// 16 KiB: heads and ordinary bodies.
    Small,
    /// 64 KiB: heads that do not fit, and bodies that keep filling small buffers.
    Medium,
    /// 256 KiB: large bodies.
    Large,
}

impl BufferSize {
    /// Capacity in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        BUFFER_SIZES[self as usize]
    }

    /// The next larger size; the largest stays.
    #[must_use]
    pub const fn larger(self) -> Self {
        match self {
            Self::Small => Self::Medium,
            Self::Medium | Self::Large => Self::Large,
        }
    }

    /// The largest size of at most so many bytes.
    #[must_use]
    pub fn within(bytes: usize) -> Self {
        [Self::Large, Self::Medium]
            .into_iter()
            .find(|size| size.bytes() <= bytes)
            .unwrap_or(Self::Small)
    }

    /// Maximum number of free buffers that a worker keeps.
    const fn max_free(self) -> usize {
        match self {
            Self::Small => 160,
            Self::Medium => 32,
            Self::Large => 8,
        }
    }
}

/// Maximum number of free growable buffers that a worker keeps.
const MAX_FREE_GROWABLE: usize = 8;

/// Free buffers of one worker.
pub struct BufferPool {
    /// The largest size that a body is read into.
    largest_for_bodies: BufferSize,
    free: RefCell<[Free; 3]>,
    /// Growable buffers.
    growable: RefCell<Vec<Vec<u8>>>,
}

/// Free buffers of one size.
#[derive(Default)]
struct Free {
    buffers: Vec<Box<[u8]>>,
    /// Lowest number of free buffers since the last trim.
    spare: usize,
}

/// One contiguous buffer: bytes that were read and not consumed, then free space.
pub struct Buffer {
    // Invariant: start <= end <= bytes.len().
    bytes: Box<[u8]>,
    start: u32,
    end: u32,
    pool: Rc<BufferPool>,
}

// === impl BufferPool ===

impl BufferPool {
    /// Creates an empty pool, whose buffers for bodies have up to this size.
    #[must_use]
    pub fn new(largest_for_bodies: BufferSize) -> Rc<Self> {
        Rc::new(Self {
            largest_for_bodies,
            free: RefCell::default(),
            growable: RefCell::default(),
        })
    }

    /// The size for reads of a body: the given one, limited to the largest for bodies.
    #[must_use]
    pub fn for_body(&self, size: BufferSize) -> BufferSize {
        size.min(self.largest_for_bodies)
    }

    /// Takes an empty buffer of `size`.
    #[must_use]
    pub fn take(self: &Rc<Self>, size: BufferSize) -> Buffer {
        let free = self.free.borrow_mut()[size as usize].take();
        Buffer {
            bytes: free.unwrap_or_else(|| vec![0; size.bytes()].into_boxed_slice()),
            start: 0,
            end: 0,
            pool: Rc::clone(self),
        }
    }

    /// Copies the bytes into a buffer without free space, to be kept for a while.
    #[must_use]
    pub fn copy_exact(self: &Rc<Self>, bytes: &[u8]) -> Buffer {
        Buffer {
            bytes: bytes.into(),
            start: 0,
            end: index(bytes.len()),
            pool: Rc::clone(self),
        }
    }

    /// Takes an empty growable buffer, with some capacity.
    #[must_use]
    pub fn take_growable(&self) -> Vec<u8> {
        let free = self.growable.borrow_mut().pop();
        free.unwrap_or_else(|| Vec::with_capacity(BufferSize::Small.bytes()))
    }

    /// Returns such a buffer. It is freed if it has grown too large or if enough are kept.
    pub fn recycle_growable(&self, mut memory: Vec<u8>) {
        let mut growable = self.growable.borrow_mut();
        if growable.len() < MAX_FREE_GROWABLE && memory.capacity() <= BufferSize::Large.bytes() {
            memory.clear();
            growable.push(memory);
        }
    }

    fn recycle(&self, bytes: Box<[u8]>) {
        let size = match bytes.len() {
            n if n == BufferSize::Small.bytes() => BufferSize::Small,
            n if n == BufferSize::Medium.bytes() => BufferSize::Medium,
            n if n == BufferSize::Large.bytes() => BufferSize::Large,
            _ => return,
        };
        let free = &mut self.free.borrow_mut()[size as usize].buffers;
        if free.len() < size.max_free() {
            free.push(bytes);
        }
    }

    /// Frees the buffers that were not needed since the last call.
    pub fn trim(&self) {
        for free in &mut *self.free.borrow_mut() {
            let left = free.buffers.len() - free.spare;
            free.buffers.truncate(left);
            free.spare = left;
        }
    }
}

// === impl Free ===

impl Free {
    fn take(&mut self) -> Option<Box<[u8]>> {
        let taken = self.buffers.pop();
        self.spare = self.spare.min(self.buffers.len());
        taken
    }
}

// === impl Buffer ===

impl Buffer {
    /// The buffered bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start as usize..self.end as usize]
    }

    /// The buffered bytes, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start as usize..self.end as usize]
    }

    /// The free space after them.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end as usize..]
    }

    /// Number of buffered bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// True if no bytes are buffered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Total capacity in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Adds `n` bytes that were written into the free space.
    ///
    /// # Panics
    /// When there was less space than that.
    pub fn filled(&mut self, n: usize) {
        assert!(n <= self.bytes.len() - self.end as usize);
        self.end += index(n);
    }

    /// Removes `n` bytes from the front.
    ///
    /// # Panics
    /// When fewer are buffered.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.len());
        self.start += index(n);
        if self.start == self.end {
            self.clear();
        }
    }

    /// Keeps only the first `n` bytes.
    ///
    /// # Panics
    /// When fewer are buffered.
    pub fn truncate(&mut self, n: usize) {
        assert!(n <= self.len());
        self.end = self.start + index(n);
    }

    /// Removes all bytes.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Moves the bytes to the front, so that all free space is after them.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.bytes
                .copy_within(self.start as usize..self.end as usize, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Appends `bytes`, moving into a larger buffer if they do not fit; false when no size is large enough.
    #[must_use]
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        if self.space().len() < bytes.len() {
            self.compact();
        }
        while self.space().len() < bytes.len() {
            if !self.grow() {
                return false;
            }
        }
        self.space()[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
        true
    }

    /// Moves the bytes into the next larger size; false when this is the largest.
    #[must_use]
    pub fn grow(&mut self) -> bool {
        let size = match self.bytes.len() {
            n if n < BufferSize::Medium.bytes() => BufferSize::Medium,
            n if n < BufferSize::Large.bytes() => BufferSize::Large,
            _ => return false,
        };
        let mut larger = self.pool.take(size);
        let len = self.len();
        larger.space()[..len].copy_from_slice(self.data());
        larger.filled(len);
        *self = larger;
        true
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.recycle(std::mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Buffer {
    /// Never shows the bytes: they may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} of {})", self.len(), self.capacity())
    }
}

fn index(n: usize) -> u32 {
    u32::try_from(n).expect("a buffer is smaller than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_handed_out_again() {
        let pool = BufferPool::new(BufferSize::Large);
        let first = pool.take(BufferSize::Small);
        let address = first.bytes.as_ptr();
        drop(first);
        assert_eq!(pool.take(BufferSize::Small).bytes.as_ptr(), address);
    }

    #[test]
    fn what_is_kept_takes_no_more_than_its_length() {
        let pool = BufferPool::new(BufferSize::Large);
        let exact = pool.copy_exact(b"abc");
        assert_eq!((exact.data(), exact.capacity()), (&b"abc"[..], 3));
        drop(exact);
        assert!(
            pool.free
                .borrow()
                .iter()
                .all(|free| free.buffers.is_empty())
        );
    }

    #[test]
    fn free_buffers_are_bounded() {
        let pool = BufferPool::new(BufferSize::Large);
        let many: Vec<_> = (0..20).map(|_| pool.take(BufferSize::Large)).collect();
        drop(many);
        assert_eq!(
            pool.free.borrow()[2].buffers.len(),
            BufferSize::Large.max_free()
        );
    }

    #[test]
    fn what_was_not_needed_for_a_while_is_let_go() {
        let pool = BufferPool::new(BufferSize::Large);
        let free = || pool.free.borrow()[0].buffers.len();
        let many: Vec<_> = (0..10).map(|_| pool.take(BufferSize::Small)).collect();
        drop(many);
        pool.trim();
        assert_eq!(free(), 10, "all were needed before");
        let few: Vec<_> = (0..3).map(|_| pool.take(BufferSize::Small)).collect();
        drop(few);
        pool.trim();
        assert_eq!(free(), 3);
        pool.trim();
        assert_eq!(free(), 0);
    }

    #[test]
    fn appending_grows_and_keeps_the_bytes() {
        let pool = BufferPool::new(BufferSize::Large);
        let mut buffer = pool.take(BufferSize::Small);
        assert!(buffer.append(&[1; 10_000]));
        buffer.consume(4_000);
        assert!(buffer.append(&vec![2; 20_000]));
        assert_eq!(buffer.len(), 26_000);
        assert_eq!(buffer.data()[5_999], 1);
        assert_eq!(buffer.data()[6_000], 2);
        assert!(!buffer.append(&vec![3; 300_000]));
    }

    #[test]
    fn consuming_everything_gives_all_the_space_back() {
        let pool = BufferPool::new(BufferSize::Large);
        let mut buffer = pool.take(BufferSize::Small);
        assert!(buffer.append(b"abc"));
        buffer.consume(3);
        assert_eq!(buffer.space().len(), BufferSize::Small.bytes());
    }
}
