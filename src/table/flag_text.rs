//! Values of flags as text for a header field and for W3C `baggage`.

use std::fmt::Write as _;

use serde_json::Value;

/// Text of a value in a header field: printable ASCII, and JSON for all but most texts.
///
/// A text is sent as it is unless it is empty, begins with `"` or has characters that a field cannot hold; then it is a
/// JSON string. So whatever begins with `"` is JSON.
pub(super) fn field_text(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        value => in_ascii(&value.to_string()),
    }
}

/// Text of a field as the value of a member of `baggage` (W3C Baggage, section 3.3.1): what it cannot hold is
/// percent-encoded.
pub(super) fn baggage_text(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%' | b',' | b';' | b'\\') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn is_plain(text: &str) -> bool {
    let is_printable = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    !text.is_empty()
        && !text.starts_with('"')
        && text.trim_ascii() == text
        && text.bytes().all(is_printable)
}

/// JSON without characters outside of ASCII: these can only be in its strings.
fn in_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_has_one_text_that_a_field_can_hold_and_that_reads_back() {
        for (value, text) in [
            (json!(true), "true"),
            (json!(1.5), "1.5"),
            (json!(2.0), "2.0"),
            (json!("haiku 4"), "haiku 4"),
            (json!(""), r#""""#),
            (json!(" a"), r#"" a""#),
            (json!("\"a\""), r#""\"a\"""#),
            (json!("a\r\nb: c"), r#""a\r\nb: c""#),
            (
                json!("caf\u{e9} \u{1f600}\u{7f}"),
                r#""caf\u00e9 \ud83d\ude00\u007f""#,
            ),
            (
                json!({ "b": ["\u{e9}"], "a": 1 }),
                r#"{"a":1,"b":["\u00e9"]}"#,
            ),
        ] {
            let field = field_text(&value);
            assert_eq!(field, text);
            let is_text = value.is_string() && !field.starts_with('"');
            let back = if is_text {
                Value::from(field)
            } else {
                serde_json::from_str(&field).unwrap()
            };
            assert_eq!(back, value);
        }
    }

    #[test]
    fn baggage_holds_what_a_member_may_hold() {
        assert_eq!(baggage_text("haiku-4"), "haiku-4");
        assert_eq!(
            baggage_text(r#"{"a": "b,c;d\\%"}"#),
            "{%22a%22:%20%22b%2Cc%3Bd%5C%5C%25%22}"
        );
    }
}
