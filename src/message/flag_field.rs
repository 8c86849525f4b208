//! Names of the fields that hand the variants of flags to endpoints.

/// Start of their names; the name of the flag follows.
pub const FLAG_FIELD: &str = "x-flag-";

/// True if an endpoint may take the field for one of a flag: `_` and `.` count as `-`, as in the names that CGI and WSGI
/// give to fields.
pub fn is_flag_field(name: &[u8]) -> bool {
    let plain = |byte: u8| match byte {
        b'_' | b'.' => b'-',
        byte => byte.to_ascii_lowercase(),
    };
    let prefix = FLAG_FIELD.as_bytes();
    let start = name.get(..prefix.len());
    start.is_some_and(|start| {
        start
            .iter()
            .map(|byte| plain(*byte))
            .eq(prefix.iter().copied())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_a_flag_is_known_in_any_spelling() {
        for name in ["x-flag-a", "X-Flag-A", "x_flag_a", "X-FLAG.a", "x-flag-"] {
            assert!(is_flag_field(name.as_bytes()), "{name}");
        }
        for name in ["x-flag", "x-flags-a", "flag-a", "", "xx-flag-a"] {
            assert!(!is_flag_field(name.as_bytes()), "{name}");
        }
    }
}
