//! Tracks WebSocket frame boundaries, as far as needed to send a close frame between two frames (RFC 6455, section
//! 5.2).
//!
//! Frames pass unchanged and unvalidated. A side that violates the framing only misses a close frame at the right
//! place, which it would not have understood either.

/// Close frame for a client: going away (1001).
pub(super) const CLOSE_GOING_AWAY: &[u8] = &[0x88, 2, 0x03, 0xe9];
/// Close frame for a client whose release left: the service restarts (1012). Many take 1001 for a normal end.
pub(super) const CLOSE_RESTART: &[u8] = &[0x88, 2, 0x03, 0xf4];
/// The first for a server, which requires a mask; any mask is valid.
pub(super) const CLOSE_MASKED: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];

/// Longest frame header: two bytes, a 64-bit length, a mask.
const LONGEST_HEAD: usize = 2 + 8 + 4;

/// Position in the frame that is passing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameTracker {
    head: [u8; LONGEST_HEAD],
    // Invariant: less than `LONGEST_HEAD`, and 0 while `left` is not.
    have: u8,
    /// Remaining bytes of the payload.
    left: u64,
}

// === impl FrameTracker ===

impl FrameTracker {
    /// Advances over bytes that were forwarded.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        loop {
            let taken =
                usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.left -= taken as u64;
            bytes = &bytes[taken..];
            let Some((byte, rest)) = bytes.split_first() else {
                return;
            };
            self.head[usize::from(self.have)] = *byte;
            self.have += 1;
            bytes = rest;
            if let Some(length) = self.length() {
                (self.have, self.left) = (0, length);
            }
        }
    }

    /// True if the last forwarded byte was the last of a frame.
    pub(super) fn at_frame_boundary(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Length of the payload, once the frame header is complete.
    fn length(&self) -> Option<u64> {
        let have = usize::from(self.have);
        let second = *self.head[..have].get(1)?;
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        if have < 2 + extended + mask {
            return None;
        }
        let long = &self.head[2..2 + extended];
        Some(match extended {
            0 => u64::from(second & 0x7f),
            _ => long.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(second: u8, extended: &[u8], mask: &[u8], length: usize) -> Vec<u8> {
        [&[0x82, second][..], extended, mask, &vec![7; length]].concat()
    }

    #[test]
    fn frames_of_every_form_end_where_they_end_wherever_they_are_cut() {
        for frame in [
            frame(0, &[], &[], 0),
            frame(5, &[], &[], 5),
            frame(0x80, &[], &[1; 4], 0),
            frame(0x85, &[], &[1; 4], 5),
            frame(126, &[1, 0], &[], 256),
            frame(0xfe, &[0, 200], &[9; 4], 200),
            frame(127, &[0, 0, 0, 0, 0, 1, 0, 0], &[], 65_536),
            CLOSE_GOING_AWAY.to_vec(),
            CLOSE_MASKED.to_vec(),
        ] {
            for cut in 1..frame.len().min(400) {
                let mut bounds = FrameTracker::default();
                bounds.pass(&frame[..cut]);
                assert!(!bounds.at_frame_boundary(), "cut at {cut}");
                bounds.pass(&frame[cut..]);
                assert!(bounds.at_frame_boundary(), "cut at {cut}");
            }
            let mut bounds = FrameTracker::default();
            bounds.pass(&[frame.clone(), frame].concat());
            assert!(bounds.at_frame_boundary());
        }
    }

    #[test]
    fn a_length_beyond_everything_is_no_end() {
        let mut bounds = FrameTracker::default();
        bounds.pass(&frame(127, &[0xff; 8], &[], 1_000));
        assert!(!bounds.at_frame_boundary());
    }
}
