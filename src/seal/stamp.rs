//! Stamps: the proof that an answer came from a release, for those who say later what they think of it.

use std::sync::LazyLock;

use super::{Content, KeyRing, LONGEST_CONTENT, Label, OpenError, Sealed};

static LABEL: LazyLock<Label> = LazyLock::new(Label::stamp);

/// The origin of one answer.
///
/// Numbers are big endian: the time of issue (4 bytes), the number of the answer (8), its session (8), the revision
/// (8); then route, release and version, each with its length before it (1 byte); then marks of variants, to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp<'s> {
    /// Time of issue, in seconds since 1970.
    pub issued: u32,
    /// A random number: answers that are equal otherwise have different stamps.
    pub number: u64,
    /// Hash of the session; a random number without one.
    pub session: u64,
    /// The revision by which the release was chosen.
    pub revision: u64,
    /// Name of the route.
    pub route: &'s str,
    /// Name of the release.
    pub release: &'s str,
    /// Version of the release.
    pub version: &'s str,
    /// Marks of the variants that it was given with, of flags with key figures.
    pub variants: &'s [u8],
}

impl<'s> Stamp<'s> {
    /// Opens a stamp, expired or not.
    ///
    /// # Errors
    /// A text that is not a stamp.
    pub fn open(ring: &KeyRing, text: &[u8], buffer: &'s mut Content) -> Result<Self, OpenError> {
        let content = ring.open(&LABEL, text, buffer)?;
        Self::read(content).ok_or(OpenError::Malformed)
    }

    /// Seals it; `None` if a name is longer than 255 bytes, or all of it longer than may be.
    pub fn seal(&self, ring: &KeyRing) -> Option<Sealed> {
        let mut content = [0; LONGEST_CONTENT];
        let length = self.write(&mut content)?;
        ring.seal(&LABEL, &content[..length])
    }

    /// Age in seconds, at a time in seconds since 1970. One from the future is new: clocks of two nodes differ.
    pub fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.issued.into())
    }

    fn write(&self, content: &mut [u8; LONGEST_CONTENT]) -> Option<usize> {
        let mut length = 0;
        let mut put = |bytes: &[u8]| {
            content
                .get_mut(length..length + bytes.len())?
                .copy_from_slice(bytes);
            length += bytes.len();
            Some(())
        };
        put(&self.issued.to_be_bytes())?;
        put(&self.number.to_be_bytes())?;
        put(&self.session.to_be_bytes())?;
        put(&self.revision.to_be_bytes())?;
        for name in [self.route, self.release, self.version] {
            put(&[u8::try_from(name.len()).ok()?])?;
            put(name.as_bytes())?;
        }
        put(self.variants)?;
        Some(length)
    }

    fn read(content: &'s [u8]) -> Option<Self> {
        let (issued, rest) = content.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (session, rest) = rest.split_first_chunk()?;
        let (revision, rest) = rest.split_first_chunk()?;
        let (route, rest) = name(rest)?;
        let (release, rest) = name(rest)?;
        let (version, variants) = name(rest)?;
        Some(Self {
            issued: u32::from_be_bytes(*issued),
            number: u64::from_be_bytes(*number),
            session: u64::from_be_bytes(*session),
            revision: u64::from_be_bytes(*revision),
            route,
            release,
            version,
            variants,
        })
    }
}

fn name(content: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = content.split_first()?;
    let (name, rest) = rest.split_at_checked((*length).into())?;
    Some((std::str::from_utf8(name).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(secret: &str) -> KeyRing {
        KeyRing::new(&[&secret.repeat(40)]).unwrap().unwrap()
    }

    proptest! {
        #[test]
        fn a_stamp_comes_back_as_it_went(
            issued: u32,
            number: u64,
            session: u64,
            revision: u64,
            names in [".{0,63}", ".{0,63}", ".{0,63}"],
            variants in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let [route, release, version] = &names;
            let stamp = Stamp { issued, number, session, revision, route, release, version, variants: &variants };
            let sealed = stamp.seal(&ring("k")).unwrap();
            let mut buffer = Content::default();
            prop_assert_eq!(Stamp::open(&ring("k"), &sealed, &mut buffer), Ok(stamp));
            let mut buffer = Content::default();
            prop_assert_eq!(Stamp::open(&ring("x"), &sealed, &mut buffer), Err(OpenError::UnknownKey));
        }

        #[test]
        fn any_content_is_read_without_a_panic(content in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(stamp) = Stamp::read(&content) {
                let mut written = [0; LONGEST_CONTENT];
                let length = stamp.write(&mut written).unwrap();
                prop_assert_eq!(&written[..length], &content[..]);
            }
        }
    }

    #[test]
    fn what_was_sealed_for_another_purpose_is_no_stamp() {
        let stamp = Stamp {
            issued: 100,
            number: 1,
            session: 3,
            revision: 2,
            route: "chat",
            release: "green",
            version: "2",
            variants: b"1234",
        };
        let ring = ring("k");
        let mut content = [0; LONGEST_CONTENT];
        let length = stamp.write(&mut content).unwrap();
        let sealed = ring
            .seal(&Label::preview("chat"), &content[..length])
            .unwrap();
        let mut buffer = Content::default();
        let opened = Stamp::open(&ring, &sealed, &mut buffer);
        assert_eq!(opened, Err(OpenError::Forged));
        assert_eq!((stamp.age(90), stamp.age(160)), (0, 60));
    }
}
