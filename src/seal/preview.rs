//! Preview tokens: a signed permission to send requests of one route to one release until a time.

use super::{Content, KeyRing, Label, OpenError, Sealed};

/// A permission to choose a release of a route. The route is the label of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preview<'t> {
    /// Time from which it is void, in seconds since 1970.
    pub expires: u64,
    /// Name of the release.
    pub release: &'t str,
}

impl<'t> Preview<'t> {
    /// Opens a token for a route, expired or not.
    ///
    /// # Errors
    /// A text that is not a token for this route.
    pub fn open(
        ring: &KeyRing,
        label: &Label,
        text: &[u8],
        buffer: &'t mut Content,
    ) -> Result<Self, OpenError> {
        let content = ring.open(label, text, buffer)?;
        let (expires, release) = content.split_first_chunk().ok_or(OpenError::Malformed)?;
        Ok(Self {
            expires: u64::from_be_bytes(*expires),
            release: std::str::from_utf8(release).map_err(|_| OpenError::Malformed)?,
        })
    }

    /// Makes the token; `None` if the name is too long to be one of a release.
    pub fn seal(&self, ring: &KeyRing, label: &Label) -> Option<Sealed> {
        let content = [&self.expires.to_be_bytes()[..], self.release.as_bytes()].concat();
        ring.seal(label, &content)
    }

    /// True from the time on at which it expires, in seconds since 1970.
    pub fn is_expired(&self, now: u64) -> bool {
        now >= self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_route_and_ends() {
        let ring = KeyRing::new(&[&"k".repeat(40)]).unwrap().unwrap();
        let token = Preview {
            expires: 1_000,
            release: "green",
        };
        let sealed = token.seal(&ring, &Label::preview("chat")).unwrap();
        let mut buffer = Content::default();
        let opened = Preview::open(&ring, &Label::preview("chat"), &sealed, &mut buffer).unwrap();
        assert_eq!(opened, token);
        assert!(!opened.is_expired(999) && opened.is_expired(1_000));
        for other in [Label::preview("chat2"), Label::pin_header("chat")] {
            let refused = Preview::open(&ring, &other, &sealed, &mut buffer);
            assert_eq!(refused, Err(OpenError::Forged));
        }
    }
}
