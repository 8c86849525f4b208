//! The body of an answer that is to be compared as JSON, as far as it has come.

use super::room::RoomShare;
use crate::message::{Field, KnownField};
use crate::model::JsonSkip;

/// A body, or the reason why it is not kept.
pub(super) struct JsonBody {
    kept: Result<Vec<u8>, JsonSkip>,
    /// Maximum length.
    most: usize,
    share: RoomShare,
}

impl JsonBody {
    /// No answer yet.
    pub(super) fn new(most: usize, share: RoomShare) -> Self {
        Self {
            kept: Err(JsonSkip::Type),
            most,
            share,
        }
    }

    /// The body of another answer with the same limit.
    pub(super) fn beside(&self) -> Self {
        Self::new(self.most, self.share.beside())
    }

    /// True if what follows is kept.
    pub(super) const fn is_kept(&self) -> bool {
        self.kept.is_ok()
    }

    /// Begins anew, with an answer that has these fields.
    pub(super) fn begin<'f>(&mut self, fields: impl Iterator<Item = Field<'f>>) {
        let (mut is_json, mut is_encoded) = (false, false);
        for field in fields {
            match field.known {
                KnownField::ContentType => is_json = is_json_type(field.value),
                KnownField::ContentEncoding => {
                    is_encoded |= !field.value.eq_ignore_ascii_case(b"identity");
                }
                _ => {}
            }
        }
        self.kept = match (is_json, is_encoded) {
            (false, _) => Err(JsonSkip::Type),
            (true, true) => Err(JsonSkip::Encoded),
            (true, false) => Ok(Vec::new()),
        };
    }

    /// Forgets an answer that the client does not get.
    pub(super) fn forget(&mut self) {
        self.kept = Err(JsonSkip::Type);
    }

    /// Keeps a part of the body.
    pub(super) fn read(&mut self, data: &[u8]) {
        let Ok(body) = &mut self.kept else { return };
        let length = body.len() + data.len();
        if length > self.most {
            self.kept = Err(JsonSkip::Long);
            return;
        }
        // Not more than it needs, since the allocation counts.
        if length > body.capacity() {
            let wanted = (2 * body.capacity()).clamp(length, self.most);
            if !self.share.grow_to(wanted) {
                self.kept = Err(JsonSkip::Memory);
                return;
            }
            body.reserve_exact(wanted - body.len());
        }
        body.extend_from_slice(data);
    }

    /// The body, if it was kept whole.
    pub(super) fn whole(&self) -> Result<&[u8], JsonSkip> {
        match &self.kept {
            // Such as the answer to a HEAD.
            Ok(body) if body.is_empty() => Err(JsonSkip::Type),
            kept => kept.as_deref().map_err(|reason| *reason),
        }
    }
}

/// True for `application/json`, `text/json` and the types that end with `+json` (RFC 6839), whatever their parameters.
fn is_json_type(value: &[u8]) -> bool {
    let end = value.iter().position(|byte| *byte == b';');
    let media = value[..end.unwrap_or(value.len())].trim_ascii();
    let is = |text: &[u8]| media.eq_ignore_ascii_case(text);
    let suffix = media.len().checked_sub(5).map(|start| &media[start..]);
    is(b"application/json")
        || is(b"text/json")
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::mirror::room::Room;

    fn begun(fields: &[(&str, &str)]) -> JsonBody {
        let mut body = JsonBody::new(10, Room::default().share());
        let fields = fields.iter();
        body.begin(fields.map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes())));
        body
    }

    #[test]
    fn only_plain_json_is_kept() {
        for (media, expected) in [
            ("application/json", Ok(())),
            ("Application/JSON; charset=utf-8", Ok(())),
            ("application/problem+json ;a=b", Ok(())),
            ("application/jsonl", Err(JsonSkip::Type)),
            ("text/event-stream", Err(JsonSkip::Type)),
            ("+jso", Err(JsonSkip::Type)),
        ] {
            let mut body = begun(&[("content-type", media)]);
            assert_eq!(body.whole(), Err(JsonSkip::Type), "{media} without a body");
            body.read(b"{}");
            assert_eq!(body.whole().map(|_| ()), expected, "{media}");
        }
        let json = ("content-type", "application/json");
        for (encoding, is_kept) in [("gzip", false), ("identity", true), ("br", false)] {
            assert_eq!(
                begun(&[json, ("content-encoding", encoding)]).is_kept(),
                is_kept
            );
        }
        assert_eq!(begun(&[]).whole(), Err(JsonSkip::Type));
    }

    #[test]
    fn a_body_is_kept_up_to_its_limit() {
        let json = [("content-type", "application/json")];
        let mut body = begun(&json);
        body.read(b"01234");
        body.read(b"56789");
        assert_eq!(body.whole(), Ok(&b"0123456789"[..]));
        body.read(b"a");
        assert_eq!(body.whole(), Err(JsonSkip::Long));
        body.read(b"b");
        assert_eq!(body.whole(), Err(JsonSkip::Long));
        let mut other = body.beside();
        other.begin([Field::new(b"content-type", b"text/json")].into_iter());
        other.read(b"{}");
        assert_eq!(other.whole(), Ok(&b"{}"[..]));
        other.forget();
        assert_eq!(other.whole(), Err(JsonSkip::Type));
    }
}
