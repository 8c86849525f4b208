//! Lines of the access log as web servers write them: the Common Log Format, and the combined one.

use std::{
    fmt::{self, Display},
    io::{self, Write},
};

use super::{Escaped, access_record::AccessRecord};

/// A text between quotes: one of the client can neither end it nor escape its end.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['"', '\\']) {
            let (before, from) = rest.split_at(at);
            let (mark, after) = from.split_at(1);
            write!(f, "{}\\{mark}", Escaped(before))?;
            rest = after;
        }
        write!(f, "{}", Escaped(rest))
    }
}

/// Writes a line, with the referrer and the user agent if `is_combined`.
pub(super) fn write_common(
    line: &mut Vec<u8>,
    record: &AccessRecord<'_>,
    is_combined: bool,
) -> io::Result<()> {
    // `Sun, 06 Nov 1994 08:49:37 GMT`
    let date = httpdate::fmt_http_date(record.time);
    let mut words = date.split(' ').skip(1);
    let [day, month, year, time] = [(); 4].map(|()| words.next().unwrap_or_default());
    let AccessRecord {
        client,
        method,
        path,
        protocol,
        status,
        bytes_out,
        ..
    } = record;
    write!(
        line,
        "{client} - - [{day}/{month}/{year}:{time} +0000] \"{} {} {protocol}\" {status} {bytes_out}",
        Quoted(method),
        Quoted(path),
    )?;
    if is_combined {
        let [referer, agent] =
            [record.referer, record.user_agent].map(|text| Quoted(text.unwrap_or("-")));
        write!(line, " \"{referer}\" \"{agent}\"")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_its_own_quote() {
        for (text, quoted) in [
            ("plain", "plain"),
            ("a\"b", r#"a\"b"#),
            (r#"a\" 200 9 "-"#, r#"a\\\" 200 9 \"-"#),
            (r"end\", r"end\\"),
            ("a\nb", r"a\nb"),
        ] {
            assert_eq!(Quoted(text).to_string(), quoted, "{text}");
        }
    }
}
