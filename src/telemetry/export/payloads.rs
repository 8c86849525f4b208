//! Payloads: lines packed into datagrams of a limited size.

/// Lines in one datagram.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Payload {
    /// The lines, with a newline between them.
    pub(super) text: String,
    /// Number of lines.
    pub(super) lines: u64,
}

/// Payloads in the making.
#[derive(Debug)]
pub(super) struct Payloads {
    limit: usize,
    full: Vec<Payload>,
    last: Payload,
    too_long: u64,
}

impl Payloads {
    /// Payloads of at most this many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            full: Vec::new(),
            last: Payload::default(),
            too_long: 0,
        }
    }

    /// Adds a line. One that is longer than a payload may be is left out.
    pub(super) fn push(&mut self, line: &str) {
        if line.len() > self.limit {
            self.too_long += 1;
            return;
        }
        let is_first = self.last.lines == 0;
        if !is_first && self.last.text.len() + 1 + line.len() > self.limit {
            self.full.push(std::mem::take(&mut self.last));
        }
        if self.last.lines > 0 {
            self.last.text.push('\n');
        }
        self.last.text.push_str(line);
        self.last.lines += 1;
    }

    /// All payloads, and the number of lines that were left out.
    pub(super) fn finish(mut self) -> (Vec<Payload>, u64) {
        if self.last.lines > 0 {
            self.full.push(self.last);
        }
        (self.full, self.too_long)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn payloads_keep_to_the_limit_and_lose_no_line_that_fits(
            lines in prop::collection::vec("[a-z]{1,30}", 0..40),
        ) {
            let mut payloads = Payloads::new(25);
            for line in &lines {
                payloads.push(line);
            }
            let (payloads, too_long) = payloads.finish();
            prop_assert!(payloads.iter().all(|one| one.text.len() <= 25));
            let counted: u64 = payloads.iter().map(|one| one.lines).sum();
            let kept: Vec<_> = payloads.iter().flat_map(|one| one.text.split('\n')).collect();
            let fit: Vec<_> = lines.iter().filter(|line| line.len() <= 25).collect();
            prop_assert_eq!(kept, fit);
            prop_assert_eq!(counted + too_long, lines.len() as u64);
        }
    }

    #[test]
    fn a_line_that_just_fits_shares_no_payload() {
        let mut payloads = Payloads::new(5);
        for line in ["ab", "cd", "efghi"] {
            payloads.push(line);
        }
        let texts: Vec<_> = payloads
            .finish()
            .0
            .into_iter()
            .map(|one| one.text)
            .collect();
        assert_eq!(texts, ["ab\ncd", "efghi"]);
    }
}
