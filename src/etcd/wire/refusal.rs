//! Refusals of etcd.

use serde::Deserialize;

use super::code::GrpcCode;

/// Longest message of etcd that is kept.
const LONGEST_MESSAGE: usize = 500;

/// Refusal of a call or of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its code.
    pub code: GrpcCode,
    /// The message, in one line.
    pub message: String,
}

/// The body of a refusal, or the object `error` of a stream.
#[derive(Deserialize)]
pub(super) struct RefusalText {
    #[serde(alias = "grpc_code", default)]
    code: u32,
    #[serde(default)]
    message: String,
}

impl Refusal {
    /// Reads the body of an answer with another status than 200.
    pub fn read(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<RefusalText>(body) {
            Ok(text) if text.code != 0 || !text.message.is_empty() => text.into(),
            _ => Self {
                code: GrpcCode::Unknown,
                message: format!("the answer is {status} without a reason"),
            },
        }
    }

    /// The refusal in the text of a cancelled watch, such as `rpc error: code = Unauthenticated desc = …`.
    pub(super) fn of_reason(reason: &str) -> Self {
        let parts = reason.strip_prefix("rpc error: code = ");
        let parts = parts.and_then(|rest| rest.split_once(" desc = "));
        let (code, message) = parts.unwrap_or(("Unknown", reason));
        let message = if message.is_empty() {
            "the watch was cancelled without a reason"
        } else {
            message
        };
        Self {
            code: GrpcCode::of_name(code),
            message: short(message),
        }
    }
}

impl From<RefusalText> for Refusal {
    fn from(text: RefusalText) -> Self {
        Self {
            code: GrpcCode::of_number(text.code),
            message: short(&text.message),
        }
    }
}

/// A text of a server, in one line and not too long for a log.
fn short(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(LONGEST_MESSAGE).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_read_wherever_a_gateway_puts_it() {
        let old =
            br#"{"error":"etcdserver: no leader","message":"etcdserver: no leader","code":14}"#;
        let new = br#"{"code":14, "message":"etcdserver: no leader", "details":[]}"#;
        for body in [&old[..], new] {
            let refusal = Refusal::read(503, body);
            assert_eq!(refusal.code, GrpcCode::Unavailable);
            assert_eq!(refusal.message, "etcdserver: no leader");
        }
        let page = Refusal::read(502, b"<html>bad gateway</html>");
        assert_eq!(page.code, GrpcCode::Unknown);
        assert_eq!(page.message, "the answer is 502 without a reason");
    }

    #[test]
    fn the_reason_of_a_cancelled_watch_has_a_code_in_its_text() {
        let denied = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
        let refusal = Refusal::of_reason(denied);
        assert_eq!(refusal.code, GrpcCode::PermissionDenied);
        assert_eq!(refusal.message, "etcdserver: permission denied");
        assert_eq!(Refusal::of_reason("a\nb").message, "a b");
        assert!(!Refusal::of_reason("").message.is_empty());
    }
}
