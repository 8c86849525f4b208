//! Reader of `Accept-Encoding`: whether a client takes gzip, and would rather have it than the bytes as they are.
//!
//! RFC 9110, section 12.5.3. A client that names no coding takes none here: the field alone says that it can undo one.

use super::grammar;

/// Weight of a coding that the client refuses.
const REFUSED: u16 = 0;
/// Weight of a coding that is named without one.
const FULL: u16 = 1_000;

/// Codings of a response's content that a client takes, in thousandths of a preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptEncoding {
    gzip: Option<u16>,
    identity: Option<u16>,
    // `*`: all that are not named.
    others: Option<u16>,
}

impl AcceptEncoding {
    /// Reads the values of the fields of a request.
    pub fn of<'h>(values: impl IntoIterator<Item = &'h [u8]>) -> Self {
        let mut read = Self::default();
        for value in values {
            for member in value.split(|byte| *byte == b',') {
                read.member(member);
            }
        }
        read
    }

    /// True if the client takes gzip and prefers nothing to it that could be sent instead.
    pub fn prefers_gzip(&self) -> bool {
        let gzip = self.gzip.or(self.others).unwrap_or(REFUSED);
        gzip > REFUSED && self.identity.is_none_or(|identity| identity <= gzip)
    }

    /// Reads one member of the list. Of a coding that is named twice the lower weight counts.
    fn member(&mut self, member: &[u8]) {
        let mut parts = member.split(|byte| *byte == b';');
        let coding = grammar::trim(parts.next().unwrap_or_default());
        let place =
            if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
                &mut self.gzip
            } else if coding.eq_ignore_ascii_case(b"identity") {
                &mut self.identity
            } else if coding == b"*" {
                &mut self.others
            } else {
                return;
            };
        let weight = match (parts.next(), parts.next()) {
            (None, _) => FULL,
            (Some(parameter), None) => weight(grammar::trim(parameter)).unwrap_or(REFUSED),
            (Some(_), Some(_)) => REFUSED,
        };
        *place = Some(place.map_or(weight, |before| before.min(weight)));
    }
}

/// The value of `q=0.5` in thousandths; `None` for anything else.
fn weight(parameter: &[u8]) -> Option<u16> {
    let (b'q' | b'Q', value) = parameter.split_first()? else {
        return None;
    };
    let value = value.strip_prefix(b"=")?;
    let (whole, rest) = value.split_first()?;
    let decimals = match rest.split_first() {
        None => &[][..],
        Some((b'.', decimals)) if decimals.len() <= 3 => decimals,
        Some(_) => return None,
    };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u16::from(*byte - b'0'));
    let thousandths = [100, 10, 1].into_iter().zip(decimals);
    let mut sum = match whole {
        b'0' => 0,
        b'1' => FULL,
        _ => return None,
    };
    for (factor, decimal) in thousandths {
        sum += factor * digit(decimal)?;
    }
    (sum <= FULL).then_some(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefers(values: &[&str]) -> bool {
        AcceptEncoding::of(values.iter().map(|value| value.as_bytes())).prefers_gzip()
    }

    #[test]
    fn gzip_is_for_those_who_ask_for_it() {
        for value in [
            "gzip",
            "GZIP",
            "x-gzip",
            "gzip, deflate, br, zstd",
            "br;q=1.0, gzip;q=0.8, *;q=0.1",
            "*",
            "*;q=0.5",
            "gzip;q=0.001",
            "gzip ; q=1",
            "deflate;q=0, gzip",
            "identity;q=0, gzip;q=0.5",
            "identity;q=0.5, gzip;q=0.5",
            "*;q=0, gzip",
            ",, gzip ,",
            "gzip;Q=1.000",
            "gzip;q=0.",
            "\tgzip\t",
        ] {
            let is_zero = value == "gzip;q=0.";
            assert_eq!(prefers(&[value]), !is_zero, "{value}");
        }
        assert!(prefers(&["br", "gzip"]), "two fields are one list");
    }

    #[test]
    fn nobody_else_gets_it() {
        assert!(!prefers(&[]));
        for value in [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "gzip;q=0.000",
            "*;q=0",
            "*, gzip;q=0",
            "identity;q=0",
            "identity, gzip;q=0.5",
            "gzip;q=0.5, identity;q=0.6",
            "gzip, gzip;q=0",
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.1234",
            "gzip;q=-1",
            "gzip;q=",
            "gzip;q",
            "gzip;level=9",
            "gzip;q=1;q=1",
            "gzip;q=\"1\"",
            "gzip;q= 1",
            "gzipped",
            "g zip",
            "gzip\0",
        ] {
            assert!(!prefers(&[value]), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_in_two_fields_as_in_one(
            first in proptest::collection::vec(any::<u8>(), 0..64),
            second in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let joined = [&first[..], &second[..]].join(&b',');
            let apart = AcceptEncoding::of([&first[..], &second[..]]);
            prop_assert_eq!(apart, AcceptEncoding::of([&joined[..]]));
        }

        #[test]
        fn the_order_of_a_list_has_no_meaning(
            weights in proptest::collection::vec((0..3_usize, 0..=1_000_u16), 0..6),
        ) {
            let names = ["gzip", "identity", "*"];
            let member = |(name, weight): &(usize, u16)| {
                format!("{};q={}.{:03}", names[*name], weight / 1_000, weight % 1_000)
            };
            let mut members: Vec<String> = weights.iter().map(member).collect();
            let forth = members.join(", ");
            members.reverse();
            prop_assert_eq!(prefers(&[&forth]), prefers(&[&members.join(",")]));
            let lowest = |name| weights.iter().filter(|(own, _)| *own == name).map(|(_, q)| *q).min();
            let gzip = lowest(0).or(lowest(2)).unwrap_or(0);
            prop_assert_eq!(prefers(&[&forth]), gzip > 0 && lowest(1).is_none_or(|own| own <= gzip));
        }
    }
}
