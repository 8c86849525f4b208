//! Lines of the access log as web servers write them: the Common Log Format, and the combined one.

use std::{
    fmt::{self, Display},
    io::{self, Write},
};

use super::{Escaped, access_record::AccessRecord};

/// A text between quotes: one of the client cannot end it.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, part) in self.0.split('"').enumerate() {
            let quote = if place == 0 { "" } else { "\\\"" };
            write!(f, "{quote}{}", Escaped(part))?;
        }
        Ok(())
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
