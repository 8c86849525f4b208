//! Watch of the API server of a cluster: the same lines however they are cut, and an event or a short reason for each.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchback_fuzz::kubernetes::{event, lines, message_of};

/// A limit that small inputs reach.
const LONGEST: usize = 512;
/// Longest text of an error: what the server says of it, and what we say.
const LONGEST_TEXT: usize = 4 * 500 + 200;

fuzz_target!(|data: &[u8]| {
    let [step, text @ ..] = data else {
        return;
    };
    let (all, _cut_off) = match text.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => text.split_at(end),
        None => (&b""[..], text),
    };
    let bare = |line| <[u8]>::strip_suffix(line, b"\r").unwrap_or(line);
    let expected = all.split(|&byte| byte == b'\n').map(bare);
    let expected: Vec<_> = expected.filter(|line| !line.is_empty()).collect();
    match lines(text, usize::from(*step), LONGEST) {
        Some(found) => assert!(found.iter().eq(&expected)),
        None => assert!(text.split(|&byte| byte == b'\n').any(|line| line.len() > LONGEST)),
    }
    assert!(lines(text, usize::from(*step), text.len()).is_some_and(|found| found.iter().eq(&expected)));
    for line in expected {
        let said = match event(line) {
            Ok(event) => {
                assert!(event.starts_with("Put(") || event.starts_with("Deleted {") || event.starts_with("Bookmark("));
                continue;
            }
            Err(said) => said,
        };
        assert!(!said.is_empty() && said.len() <= LONGEST_TEXT && !said.contains(char::is_control));
    }
    assert!(!message_of(text).contains(char::is_control));
});
