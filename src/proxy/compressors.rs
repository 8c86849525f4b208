//! The compressors of a worker: so many at a time, and a few that are kept for the next answers.
//!
//! One has about 350 KiB, whatever the answer: the window of gzip and its tables. An answer for which there is none is sent
//! as it is, since compression is never needed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use flate2::{Compress, Compression as Level, FlushCompress, Status};
use metrics::Counter;

use crate::model::RouteName;
use crate::table::Compression;
use crate::telemetry::names;

/// Compressors of all workers together.
const MOST: usize = 256;
/// Fewest of a worker.
const FEWEST: usize = 8;
/// Compressors without an answer that a worker keeps.
const MOST_IDLE: usize = 8;
/// Logarithm of the window of gzip.
const WINDOW_BITS: u8 = 15;
/// Room that a compressor finds whenever it runs.
const ROOM: usize = 4 * 1024;

/// Compressors of one worker.
pub(super) struct Compressors {
    most: usize,
    busy: Cell<usize>,
    idle: RefCell<Vec<Gzip>>,
    /// Those of each route that has compressed an answer: looked up by name once.
    counters: RefCell<HashMap<RouteName, Rc<Counters>>>,
}

/// Counters of one route.
struct Counters {
    bytes_in: Counter,
    bytes_out: Counter,
    busy: Counter,
}

/// State of gzip, and its effort.
struct Gzip {
    state: Compress,
    level: u8,
}

/// The compressor of one answer; given back when it is dropped.
pub(super) struct Compressor {
    pool: Rc<Compressors>,
    counters: Rc<Counters>,
    gzip: Option<Gzip>,
}

/// A compressor that takes no more data. No data leads there.
#[derive(Debug)]
pub(super) struct Broken;

// === impl Compressors ===

impl Compressors {
    /// Those of one of so many workers.
    pub(super) fn new(workers: usize) -> Rc<Self> {
        Rc::new(Self {
            most: (MOST / workers.max(1)).max(FEWEST),
            busy: Cell::new(0),
            idle: RefCell::default(),
            counters: RefCell::default(),
        })
    }

    /// A compressor for an answer of a route, if one is free.
    pub(super) fn take(self: &Rc<Self>, rules: &Arc<Compression>) -> Option<Compressor> {
        let counters = self.counters(rules.route());
        if self.busy.get() >= self.most {
            counters.busy.increment(1);
            return None;
        }
        self.busy.set(self.busy.get() + 1);
        let level = rules.level();
        let idle = self.idle.borrow_mut().pop();
        let gzip = idle.filter(|gzip| gzip.level == level);
        Some(Compressor {
            pool: Rc::clone(self),
            counters,
            gzip: Some(gzip.unwrap_or_else(|| Gzip::new(level))),
        })
    }

    fn counters(&self, route: &RouteName) -> Rc<Counters> {
        let mut all = self.counters.borrow_mut();
        if let Some(known) = all.get(route) {
            return Rc::clone(known);
        }
        let new = Rc::new(Counters::of(route));
        all.insert(route.clone(), Rc::clone(&new));
        new
    }
}

impl Counters {
    fn of(route: &RouteName) -> Self {
        let counter = |name| metrics::counter!(name, "route" => route.to_string());
        Self {
            bytes_in: counter(names::COMPRESSED_BYTES_IN.0),
            bytes_out: counter(names::COMPRESSED_BYTES_OUT.0),
            busy: counter(names::COMPRESSORS_BUSY.0),
        }
    }
}

impl Gzip {
    fn new(level: u8) -> Self {
        let effort = Level::new(u32::from(level));
        Self {
            state: Compress::new_gzip(effort, WINDOW_BITS),
            level,
        }
    }
}

// === impl Compressor ===

impl Compressor {
    /// Compresses data; some of it may stay inside.
    pub(super) fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        self.run(data, out, FlushCompress::None)
    }

    /// Writes what stayed inside, so that its reader can read all of it.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        self.run(b"", out, FlushCompress::Sync)
    }

    /// Writes the end.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        self.run(b"", out, FlushCompress::Finish)
    }

    fn run(&mut self, data: &[u8], out: &mut Vec<u8>, flush: FlushCompress) -> Result<(), Broken> {
        let state = &mut self.gzip.as_mut().ok_or(Broken)?.state;
        let mut rest = data;
        loop {
            out.reserve(ROOM);
            let (before, length) = (state.total_in(), out.len());
            let status = state.compress_vec(rest, out, flush).map_err(|_| Broken)?;
            let taken = usize::try_from(state.total_in() - before).map_err(|_| Broken)?;
            rest = rest.get(taken..).ok_or(Broken)?;
            let is_over = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                // It stops only for want of data or of room.
                _ => rest.is_empty() && out.len() < out.capacity(),
            };
            if is_over {
                return Ok(());
            }
            if taken == 0 && out.len() == length {
                return Err(Broken);
            }
        }
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        let pool = &self.pool;
        pool.busy.set(pool.busy.get() - 1);
        let Some(mut gzip) = self.gzip.take() else {
            return;
        };
        self.counters.bytes_in.increment(gzip.state.total_in());
        self.counters.bytes_out.increment(gzip.state.total_out());
        let mut idle = pool.idle.borrow_mut();
        if idle.len() < MOST_IDLE {
            gzip.state.reset();
            idle.push(gzip);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::model::CompressSpec;

    fn rules(level: u8) -> Arc<Compression> {
        let spec = CompressSpec {
            level,
            ..CompressSpec::default()
        };
        Arc::new(Compression::new(&"all".parse().unwrap(), &spec))
    }

    fn read(bytes: &[u8]) -> Vec<u8> {
        let mut whole = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut whole).unwrap();
        whole
    }

    #[test]
    fn what_goes_in_comes_out_again_from_a_used_compressor_too() {
        let pool = Compressors::new(1);
        let long = b"the quick brown fox ".repeat(20_000);
        let noise: Vec<u8> = (0..200_000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        for level in [1, 2, 6, 9] {
            for data in [&b""[..], b"x", &long, &noise] {
                let mut compressor = pool.take(&rules(level)).unwrap();
                let mut out = Vec::new();
                for piece in data.chunks(16 * 1024) {
                    compressor.write(piece, &mut out).unwrap();
                }
                compressor.finish(&mut out).unwrap();
                assert_eq!(read(&out), data, "level {level}");
                // Level 1 has fixed codes, of at most nine bits for a byte.
                assert!(out.len() < data.len() + data.len() / 7 + 64);
            }
        }
        assert!(pool.idle.borrow().len() <= MOST_IDLE);
    }

    #[test]
    fn what_was_flushed_can_be_read_without_what_follows() {
        let pool = Compressors::new(1);
        let mut compressor = pool.take(&rules(2)).unwrap();
        let (mut out, mut decoder) = (Vec::new(), flate2::Decompress::new_gzip(15));
        for line in ["{\"n\":1}\n", "{\"n\":2}\n", "{\"n\":3}\n"] {
            out.clear();
            compressor.write(line.as_bytes(), &mut out).unwrap();
            compressor.flush(&mut out).unwrap();
            let mut seen = Vec::with_capacity(100);
            decoder
                .decompress_vec(&out, &mut seen, flate2::FlushDecompress::Sync)
                .unwrap();
            assert_eq!(seen, line.as_bytes());
        }
    }

    #[test]
    fn there_are_so_many_and_one_that_is_given_back_is_used_again() {
        let pool = Compressors::new(MOST);
        let rules = rules(1);
        let all: Vec<_> = (0..FEWEST).map(|_| pool.take(&rules).unwrap()).collect();
        assert!(pool.take(&rules).is_none());
        drop(all);
        let again = allocation_counter::measure(|| drop(pool.take(&rules).unwrap()));
        assert!(again.bytes_max < 4 * 1024, "{} bytes", again.bytes_max);
        let first = allocation_counter::measure(|| drop(Gzip::new(1)));
        assert!(first.bytes_max < 400 * 1024, "{} bytes", first.bytes_max);
    }

    #[test]
    fn what_comes_out_at_once_is_bounded_by_what_goes_in() {
        let pool = Compressors::new(1);
        let mut compressor = pool.take(&rules(9)).unwrap();
        let mut seed = 1_u64;
        let mut noise = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u8::try_from(seed >> 56).unwrap()
        };
        let mut most = 0;
        for _ in 0..64 {
            let piece: Vec<u8> = (0..16 * 1024).map(|_| noise()).collect();
            let mut out = Vec::new();
            compressor.write(&piece, &mut out).unwrap();
            most = most.max(out.len());
        }
        assert!(most <= 96 * 1024, "{most} bytes");
    }
}
