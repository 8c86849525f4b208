//! Rules on the fields of a response whose content gets another coding on its way.
//!
//! RFC 9110, sections 8.8.3 (entity tags), 12.5.5 (`Vary`) and 14.3 (ranges); RFC 9530 (digests).

use super::Field;

/// Fields that name a digest of the bytes, or sign one.
const DIGESTS: [&str; 6] = [
    "content-digest",
    "content-md5",
    "digest",
    "repr-digest",
    "signature",
    "signature-input",
];

/// True for a field by which a client can check the bytes as they were sent.
pub fn is_digest(field: &Field<'_>) -> bool {
    DIGESTS.iter().any(|name| is_named(field, name))
}

/// True for a field that does not hold for other bytes: a digest, a strong entity tag, an offer of ranges.
pub fn is_about_bytes(field: &Field<'_>) -> bool {
    is_entity_tag(field) || is_named(field, "accept-ranges") || is_digest(field)
}

/// True for the name of a field that says something of the bytes, or by which it is decided whether they get a coding.
pub fn is_of_content(name: &str) -> bool {
    const OTHERS: [&str; 4] = ["accept-ranges", "content-encoding", "content-type", "etag"];
    let mut names = OTHERS.iter().chain(&DIGESTS);
    names.any(|own| name.eq_ignore_ascii_case(own))
}

/// True for the entity tag.
pub fn is_entity_tag(field: &Field<'_>) -> bool {
    is_named(field, "etag")
}

/// True for a weak entity tag.
pub fn is_weak_tag(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

/// True if the list of a conditional request has a weak entity tag.
pub fn has_weak_tag(list: &[u8]) -> bool {
    memchr::memmem::find(list, b"W/\"").is_some()
}

/// True if the response is said to depend on `Accept-Encoding`, or on everything.
pub fn varies_by_encoding(vary: &[u8]) -> bool {
    let mut members = vary.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    members.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding"))
}

/// True if `Cache-Control` forbids another coding.
pub fn forbids_transform(cache_control: &[u8]) -> bool {
    let mut members = cache_control
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii);
    members.any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

/// True for a status whose content may get another coding. A part of it (206) may not.
pub const fn has_whole_content(status: u16) -> bool {
    matches!(status, 200..=203 | 207..=303 | 305..=599)
}

fn is_named(field: &Field<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_for_other_bytes_stays() {
        let is = |name: &str| is_about_bytes(&Field::new(name.as_bytes(), b"v"));
        for name in [
            "ETag",
            "accept-ranges",
            "Content-MD5",
            "Digest",
            "repr-digest",
        ] {
            assert!(is(name), "{name}");
        }
        for name in ["etags", "last-modified", "content-type", "vary", "age"] {
            assert!(!is(name), "{name}");
        }
        assert!(!is_digest(&Field::new(b"etag", b"v")));
    }

    #[test]
    fn members_of_lists_are_found_whatever_is_around_them() {
        for vary in ["*", "Accept-Encoding", "origin , ACCEPT-ENCODING", "a,*"] {
            assert!(varies_by_encoding(vary.as_bytes()), "{vary}");
        }
        for vary in ["", "accept", "x-accept-encoding", "accept-encoding-x"] {
            assert!(!varies_by_encoding(vary.as_bytes()), "{vary}");
        }
        for value in [
            "no-transform",
            "max-age=1, No-Transform",
            " no-transform ,x",
        ] {
            assert!(forbids_transform(value.as_bytes()), "{value}");
        }
        for value in ["", "no-store", "no-transforms", "x=no-transform"] {
            assert!(!forbids_transform(value.as_bytes()), "{value}");
        }
        assert!(has_weak_tag(b"\"a\", W/\"b\"") && !has_weak_tag(b"\"a\""));
        assert!(is_weak_tag(b"W/\"a\"") && !is_weak_tag(b"\"W/a\""));
    }

    #[test]
    fn no_part_and_nothing_empty_has_whole_content() {
        let without: Vec<u16> = (200..=700)
            .filter(|status| !has_whole_content(*status))
            .collect();
        assert_eq!(without[..4], [204, 205, 206, 304]);
        assert_eq!(without[4], 600);
        assert!((100..200).all(|status| !has_whole_content(status)));
    }
}
