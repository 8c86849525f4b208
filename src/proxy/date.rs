//! Cached text of the `Date` field, formatted once a second.

use std::cell::Cell;
use std::time::SystemTime;

/// Length of a date (RFC 9110, section 5.6.7).
pub(super) const LENGTH: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();

/// The last formatted date.
#[derive(Default)]
pub(super) struct DateCache(Cell<Option<(u64, [u8; LENGTH])>>);

// === impl DateCache ===

impl DateCache {
    /// The current date; `second` is the current second of the worker's own clock.
    pub(super) fn at(&self, second: u64) -> [u8; LENGTH] {
        match self.0.get() {
            Some((at, date)) if at == second => date,
            _ => self.write(second),
        }
    }

    #[cold]
    fn write(&self, second: u64) -> [u8; LENGTH] {
        let text = httpdate::fmt_http_date(SystemTime::now());
        let mut date = [b' '; LENGTH];
        for (to, from) in date.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.0.set(Some((second, date)));
        date
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_one_and_is_written_once_a_second() {
        let dates = DateCache::default();
        let date = dates.at(7);
        let text = std::str::from_utf8(&date).unwrap();
        let parsed = httpdate::parse_http_date(text).unwrap();
        assert!(parsed <= SystemTime::now());
        dates.0.set(Some((7, *b"Sun, 06 Nov 1994 08:49:37 GMT")));
        assert_eq!(&dates.at(7), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_ne!(&dates.at(8), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
