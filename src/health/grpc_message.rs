//! Messages of `grpc.health.v1.Health/Check`: the request is written, the status of the response is read.

/// Path of the method.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";
/// Largest response that is read: it holds one number.
pub(super) const MOST: usize = 4_096;
/// Flag and length in front of a message.
const PREFIX: usize = 5;

/// Status of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serving {
    /// `SERVING`.
    Yes,
    /// Any other status.
    No(&'static str),
}

/// Request for the health of a service, with its prefix.
pub(super) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, a string.
        message.push(0x0a);
        write_varint(&mut message, service.len());
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), &message].concat()
}

/// Status in a response with its prefix; `None` if it is malformed.
pub(super) fn response(body: &[u8]) -> Option<Serving> {
    let (prefix, message) = body.split_at_checked(PREFIX)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    if prefix[0] != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    // Field 1, an enumeration; a field that is absent is 0.
    let mut status = 0;
    let mut rest = message;
    while !rest.is_empty() {
        let tag = read_varint(&mut rest)?;
        match (tag >> 3, tag & 7) {
            (1, 0) => status = read_varint(&mut rest)?,
            (_, 0) => drop(read_varint(&mut rest)?),
            (_, 2) => {
                let length = usize::try_from(read_varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            _ => return None,
        }
    }
    Some(match status {
        1 => Serving::Yes,
        2 => Serving::No("NOT_SERVING"),
        3 => Serving::No("SERVICE_UNKNOWN"),
        _ => Serving::No("UNKNOWN"),
    })
}

fn write_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_service_or_nothing() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(request(&"a".repeat(200))[5..8], [0x0a, 0xc8, 0x01]);
    }

    #[test]
    fn only_serving_is_healthy_and_fields_to_come_are_skipped() {
        assert_eq!(response(&[0, 0, 0, 0, 2, 8, 1]), Some(Serving::Yes));
        let later = [0, 0, 0, 0, 7, 0x12, 1, b'x', 0x18, 9, 8, 1];
        assert_eq!(response(&later), Some(Serving::Yes));
        for (status, name) in [(0, "UNKNOWN"), (2, "NOT_SERVING"), (3, "SERVICE_UNKNOWN")] {
            let body = [0, 0, 0, 0, 2, 8, status];
            assert_eq!(response(&body), Some(Serving::No(name)));
        }
        assert_eq!(response(&[0, 0, 0, 0, 0]), Some(Serving::No("UNKNOWN")));
    }

    #[test]
    fn a_malformed_response_has_no_status() {
        for bad in [
            &[][..],
            &[0, 0, 0, 0],
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 0, 0, 0, 3, 8, 1],
            &[0, 0, 0, 0, 1, 8],
            &[0, 0, 0, 0, 2, 9, 1],
            &[0, 0, 0, 0, 2, 0x12, 9],
            &[
                0, 0, 0, 0, 11, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
            ],
        ] {
            assert_eq!(response(bad), None, "{bad:?}");
        }
    }
}
