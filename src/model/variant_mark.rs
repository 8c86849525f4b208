//! Marks of variants in stamps: what an answer was given with, in a few bytes.

use super::{
    FlagName, VariantName,
    rendezvous::{OFFSET, fnv, mix},
};

/// Length of a mark in bytes.
const LENGTH: usize = 4;
/// Most marks of an answer: one for each flag that a route hands over.
const MOST: usize = 16;

/// Mark of a variant of a flag: a hash of both names, the same on every instance and in every revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VariantMark([u8; LENGTH]);

/// Marks of an answer, as bytes one behind the other.
#[derive(Debug, Clone, Copy)]
pub struct VariantMarks {
    bytes: [u8; LENGTH * MOST],
    length: usize,
}

impl VariantMark {
    /// The mark of a variant.
    pub fn of(flag: &FlagName, variant: &VariantName) -> Self {
        let flag = fnv(fnv(OFFSET, flag.as_str().as_bytes()), &[0]);
        let [a, b, c, d, ..] = mix(fnv(flag, variant.as_str().as_bytes())).to_be_bytes();
        Self([a, b, c, d])
    }

    /// The marks in these bytes; `None` if they are no marks, or too many.
    pub fn read(bytes: &[u8]) -> Option<Vec<Self>> {
        let (marks, rest) = bytes.as_chunks::<LENGTH>();
        let are_marks = rest.is_empty() && marks.len() <= MOST;
        are_marks.then(|| marks.iter().copied().map(Self).collect())
    }
}

impl Default for VariantMarks {
    fn default() -> Self {
        Self {
            bytes: [0; LENGTH * MOST],
            length: 0,
        }
    }
}

impl VariantMarks {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl FromIterator<VariantMark> for VariantMarks {
    fn from_iter<I: IntoIterator<Item = VariantMark>>(marks: I) -> Self {
        let mut all = Self::default();
        let (places, _) = all.bytes.as_chunks_mut::<LENGTH>();
        for (place, mark) in places.iter_mut().zip(marks) {
            *place = mark.0;
            all.length += LENGTH;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(flag: &str, variant: &str) -> VariantMark {
        VariantMark::of(&flag.parse().unwrap(), &variant.parse().unwrap())
    }

    /// Computed by an independent implementation in Python; it may never change, or stamps would be misread.
    #[test]
    fn golden_mark() {
        assert_eq!(mark("new-planner", "on").0, GOLDEN);
        assert_ne!(mark("new-planner", "off"), mark("new-planner", "on"));
    }

    #[test]
    fn marks_come_back_as_they_went_and_what_is_none_is_refused() {
        let all: Vec<_> = (0..20)
            .map(|number| mark(&format!("f{number}"), "on"))
            .collect();
        let marks: VariantMarks = all.iter().copied().collect();
        assert_eq!(VariantMark::read(marks.as_bytes()).unwrap(), all[..MOST]);
        assert_eq!(VariantMark::read(&[]), Some(Vec::new()));
        assert_eq!(VariantMark::read(&[1; 5]), None);
        assert_eq!(VariantMark::read(&[1; 68]), None);
    }

    const GOLDEN: [u8; 4] = [0x83, 0xd4, 0xa6, 0xe0];
}
