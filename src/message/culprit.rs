//! The field that caused a rejection, named in the log to speed up debugging.
//!
//! Not used for valid requests. Invalid ones are not trusted: their lines are taken as they are.

use super::{Authority, KnownField, Reason, grammar};

/// Line of an unvalidated head, split at its first colon.
pub type LooseField<'h> = (&'h [u8], &'h [u8]);

/// Field lines of an HTTP/1.1 head, valid or not.
pub fn loose_fields(head: &[u8]) -> impl Iterator<Item = LooseField<'_>> + Clone {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    head.split(|&byte| byte == b'\n')
        .skip(1)
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .take_while(|line| !line.is_empty())
        .map(|line| match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], grammar::trim(&line[colon + 1..])),
            // It has no name, and its content must not be logged.
            None => (&[][..], line),
        })
}

/// Name of the field that broke the rule, as it was spelled; `None` if it was no field.
pub fn field_at_fault<'h>(
    reason: Reason,
    limit: usize,
    mut fields: impl Iterator<Item = LooseField<'h>>,
) -> Option<&'h [u8]> {
    let named =
        |wanted: KnownField| move |(name, _): &LooseField<'_>| KnownField::of(name) == wanted;
    let found = match reason {
        Reason::DuplicateContentLength | Reason::InvalidContentLength | Reason::LengthMismatch => {
            fields.find(named(KnownField::ContentLength))
        }
        Reason::InvalidTransferEncoding
        | Reason::LengthAndTransferEncoding
        | Reason::UnknownTransferCoding => fields.find(named(KnownField::TransferEncoding)),
        Reason::DuplicateHost => fields.find(named(KnownField::Host)),
        Reason::InvalidHost => fields
            .find(|field| named(KnownField::Host)(field) && Authority::parse(field.1).is_err()),
        Reason::MissingHost => return Some(b"host"),
        Reason::ExpectationFailed => fields.find(named(KnownField::Expect)),
        Reason::InvalidConnection | Reason::TooManyNominations => {
            fields.find(named(KnownField::Connection))
        }
        Reason::ConnectionField => fields.find(|(name, _)| KnownField::of(name).is_hop_by_hop()),
        Reason::UpgradeWithBody => fields.find(named(KnownField::Upgrade)),
        Reason::Loop => fields.find(named(KnownField::Via)),
        Reason::UnderscoreName => fields.find(|(name, _)| name.contains(&b'_')),
        Reason::InvalidFieldName => fields.find(|(name, _)| !grammar::is_token(name)),
        Reason::InvalidFieldValue => fields.find(|(_, value)| !grammar::is_field_value(value)),
        Reason::HeadTooLarge => fields.max_by_key(|(name, value)| name.len() + value.len()),
        Reason::TooManyFields => fields.nth(limit),
        _ => None,
    };
    found.map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn culprit(reason: Reason, head: &str) -> Option<&str> {
        let found = field_at_fault(reason, 2, loose_fields(head.as_bytes()));
        found.map(|name| std::str::from_utf8(name).unwrap())
    }

    #[test]
    fn the_field_that_broke_the_rule_is_named() {
        let head = "POST / HTTP/1.1\r\nHost: a b\r\nCONTENT-length: +5\r\nX_A: 1\r\nBad Name: x\r\nno colon\r\n\
                    Cookie: aaaaaaaaaaaaaaaaaaaa\r\nConnection: a b\r\nX-Null: a\0b\r\n\r\nbody_: 1\r\n";
        for (reason, expected) in [
            (Reason::InvalidContentLength, Some("CONTENT-length")),
            (Reason::InvalidHost, Some("Host")),
            (Reason::UnderscoreName, Some("X_A")),
            (Reason::InvalidFieldName, Some("Bad Name")),
            (Reason::InvalidFieldValue, Some("X-Null")),
            (Reason::InvalidConnection, Some("Connection")),
            (Reason::HeadTooLarge, Some("Cookie")),
            (Reason::TooManyFields, Some("X_A")),
            (Reason::MissingHost, Some("host")),
            (Reason::InvalidStartLine, None),
            (Reason::UnknownTransferCoding, None),
        ] {
            assert_eq!(culprit(reason, head), expected, "{reason}");
        }
    }

    #[test]
    fn whatever_lies_there_is_only_looked_at() {
        for head in ["", "\r\n", "GET", "GET / HTTP/1.1\n", "a\nb\nc", "\r\n\r\n"] {
            for reason in Reason::ALL {
                culprit(*reason, head);
            }
        }
    }
}
