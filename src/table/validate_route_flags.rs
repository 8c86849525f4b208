//! Validation of the flags that a route hands to its endpoints.

use super::{
    flag_text::field_text,
    route_check::Check,
    route_flags::{MOST_ROUTE_FLAGS, member},
};
use crate::{
    message::FLAG_FIELD,
    model::{FlagName, FlagSpec, FlagSpecs, RouteSpec, closest},
};

/// Most bytes of the fields of all flags of a route, and as many of their members in `baggage`: half of what W3C Baggage
/// asks everybody to pass on, and little beside the heads that servers take.
const LONGEST_FIELDS: usize = 4_096;

pub(super) fn problems(route: &RouteSpec, flags: &FlagSpecs, check: &mut Check<'_>) {
    let count = route.flags.len();
    if count == 0 && route.flag_baggage {
        let message = "there are no flags to send as `baggage`";
        check.problem("flag_baggage", message, "name them in `flags`");
    }
    if count > MOST_ROUTE_FLAGS {
        let message = format!("{count} flags; the maximum is {MOST_ROUTE_FLAGS}");
        let hint = "hand over those that the agent reads, or one flag of type `object`";
        check.problem("flags", message, hint);
        return;
    }
    let mut known = Vec::new();
    for (place, name) in route.flags.iter().enumerate() {
        let key = format!("flags.{place}");
        if route.flags[..place].contains(name) {
            check.problem(&key, format!("`{name}` is listed twice"), "");
        } else if let Some(flag) = known_flag(name, &key, flags, check) {
            known.push((name, flag));
        }
    }
    lengths(route, &known, check);
}

fn known_flag<'f>(
    name: &FlagName,
    key: &str,
    flags: &'f FlagSpecs,
    check: &mut Check<'_>,
) -> Option<&'f FlagSpec> {
    let Some(flag) = flags.get(name) else {
        let known = flags.iter().map(|(name, _)| name.as_str());
        let hint = closest(name.as_str(), known)
            .unwrap_or_else(|| "add the flag, or take its name from the route first".to_owned());
        check.problem(key, format!("no flag is called `{name}`"), &hint);
        return None;
    };
    let is_safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.as_str().bytes().all(is_safe) {
        let message =
            format!("`{FLAG_FIELD}{name}` is no name that every server tells from others");
        let hint = "hand over a flag whose name has only lower case letters, digits and `-`";
        check.problem(key, message, hint);
    }
    Some(&***flag)
}

/// Checks the length of the fields, each flag with its longest variant.
fn lengths(route: &RouteSpec, flags: &[(&FlagName, &FlagSpec)], check: &mut Check<'_>) {
    let longest = |(name, flag): &(&FlagName, &FlagSpec)| {
        let length = |text: String| {
            let field = FLAG_FIELD.len() + name.as_str().len() + text.len();
            let member = route
                .flag_baggage
                .then(|| member(name.as_str(), &text).len() + 1);
            field.max(member.unwrap_or_default())
        };
        let texts = flag.variants.values().map(|value| field_text(value));
        texts.map(length).max().unwrap_or_default()
    };
    let total: usize = flags.iter().map(longest).sum();
    if total <= LONGEST_FIELDS {
        return;
    }
    let worst = flags.iter().max_by_key(|flag| longest(flag));
    let hint = worst.map(|worst| {
        let (name, length) = (worst.0, longest(worst));
        format!("the longest value is one of `{name}`, with {length} bytes; hand over shorter ones")
    });
    let message =
        format!("the flags have up to {total} bytes in a head; the maximum is {LONGEST_FIELDS}");
    check.problem("flags", message, &hint.unwrap_or_default());
}
