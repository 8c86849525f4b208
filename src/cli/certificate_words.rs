//! Certificates from an authority in words: what a status says of them, and an event.

use std::fmt::Write as _;

use super::text::clean;
use crate::api::{CertificateStatus, EventBody};

/// Most domains of each kind that are shown.
const MOST: usize = 10;

/// Lines of a status: one for each domain without a certificate or with a failed order, and one for the others.
pub(super) fn lines(all: &[CertificateStatus]) -> String {
    let is_bad = |one: &&CertificateStatus| one.not_after.is_none() || one.error.is_some();
    let bad: Vec<_> = all.iter().filter(is_bad).collect();
    let mut text: String = bad.iter().take(MOST).map(|one| line(one)).collect();
    if let Some(more @ 1..) = bad.len().checked_sub(MOST) {
        let _ = writeln!(
            text,
            "{more} more certificates are missing or fail: `switchback status --json`"
        );
    }
    let good = all.len() - bad.len();
    let first = all
        .iter()
        .filter(|one| !is_bad(one))
        .filter_map(|one| one.not_after)
        .min();
    if let Some(first) = first {
        let plural = if good == 1 {
            "certificate"
        } else {
            "certificates"
        };
        let _ = writeln!(
            text,
            "{good} {plural} from an authority, valid until {first} or later"
        );
    }
    text
}

fn line(one: &CertificateStatus) -> String {
    let served = match one.not_after {
        Some(until) => format!(
            "CERTIFICATE FAILS: {}, valid until {until}",
            clean(&one.domain)
        ),
        None => format!(
            "NO CERTIFICATE: {}, so handshakes are refused",
            clean(&one.domain)
        ),
    };
    let error = one.error.as_deref();
    let error = error.map_or_else(String::new, |error| format!(": {}", clean(error)));
    let next = match one.next_order {
        _ if one.ordered_elsewhere => match &one.ordered_by {
            Some(node) => format!("; {} orders", clean(node)),
            None => "; another process orders".to_owned(),
        },
        Some(at) if one.failures > 0 => format!("; next try at {at}"),
        Some(_) => "; an order is under way".to_owned(),
        // The error says who holds it up.
        None => String::new(),
    };
    format!("{served}{error}{next}\n")
}

/// Words of an event.
pub(super) fn event(body: &EventBody) -> String {
    let EventBody::Certificate {
        domain,
        not_after,
        error,
    } = body
    else {
        return String::new();
    };
    match (error, not_after) {
        (None, Some(until)) => format!("{domain}: issued, valid until {until}"),
        (None, None) => format!("{domain}: issued"),
        (Some(error), Some(until)) => {
            format!("{domain}: failed, the one until {until} stays in use: {error}")
        }
        (Some(error), None) => format!("{domain}: failed, and there is none: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Timestamp;

    #[test]
    fn what_is_missing_or_fails_has_a_line_of_its_own() {
        let one = |domain: &str, not_after, error: Option<&str>| CertificateStatus {
            domain: domain.to_owned(),
            directory: "https://acme.example/dir".to_owned(),
            not_before: None,
            not_after,
            next_order: Some(Timestamp(1_000_000)),
            failures: u32::from(error.is_some()),
            error: error.map(str::to_owned),
            ordered_elsewhere: false,
            ordered_by: None,
        };
        let all = [
            one("a.test", Some(Timestamp(9_000_000)), None),
            one("b.test", Some(Timestamp(8_000_000)), None),
            one(
                "c.test",
                Some(Timestamp(7_000_000)),
                Some("order: too many"),
            ),
            one("d.test", None, None),
        ];
        assert_eq!(
            lines(&all),
            "CERTIFICATE FAILS: c.test, valid until 1970-01-01T00:00:07.000000Z: order: too many; next try at 1970-01-01T00:00:01.000000Z\n\
             NO CERTIFICATE: d.test, so handshakes are refused; an order is under way\n\
             2 certificates from an authority, valid until 1970-01-01T00:00:08.000000Z or later\n"
        );
        assert_eq!(lines(&[]), "");
        let held_up = CertificateStatus {
            next_order: None,
            failures: 0,
            ..one("e.test", None, Some("the store is away"))
        };
        let elsewhere = CertificateStatus {
            ordered_elsewhere: true,
            ordered_by: Some("proxy-1".to_owned()),
            ..one("f.test", None, None)
        };
        assert_eq!(
            lines(&[held_up, elsewhere]),
            "NO CERTIFICATE: e.test, so handshakes are refused: the store is away\n\
             NO CERTIFICATE: f.test, so handshakes are refused; proxy-1 orders\n"
        );
    }
}
