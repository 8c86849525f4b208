//! Detection of the HTTP/2 connection preface, for clients with prior knowledge.

/// Connection preface of HTTP/2 (RFC 9113, section 3.4).
pub const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Result of the check for [`H2_PREFACE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// Not enough bytes to decide.
    Maybe,
    /// The connection does not start with it.
    No,
    /// The connection starts with it.
    Yes,
}

/// Checks the first bytes of a connection. Two bytes distinguish `PRI` from every other method that starts with a `P`.
pub fn h2_preface(start: &[u8]) -> Preface {
    let length = start.len().min(H2_PREFACE.len());
    if start[..length] != H2_PREFACE[..length] {
        Preface::No
    } else if length < H2_PREFACE.len() {
        Preface::Maybe
    } else {
        Preface::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preface_is_told_as_early_as_possible() {
        assert_eq!(h2_preface(b""), Preface::Maybe);
        for cut in 1..H2_PREFACE.len() {
            assert_eq!(h2_preface(&H2_PREFACE[..cut]), Preface::Maybe);
        }
        assert_eq!(h2_preface(H2_PREFACE), Preface::Yes);
        assert_eq!(
            h2_preface(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore"),
            Preface::Yes
        );
        assert_eq!(h2_preface(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\n"), Preface::No);
        assert_eq!(h2_preface(b"PO"), Preface::No);
        assert_eq!(h2_preface(b"GET / HTTP/1.1"), Preface::No);
    }
}
