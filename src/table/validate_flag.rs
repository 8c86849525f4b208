//! Validation of flags: all problems at once, each with its path.

use std::collections::BTreeSet;

use super::{flags::LONGEST_CHAIN, validate_condition};
use crate::model::{
    ChangeSet, FlagName, FlagRule, FlagSpec, FlagSpecs, FlagValue, MAX_WEIGHT, Problem,
    VariantName, closest,
};

/// Most flags of a table.
const MOST_FLAGS: usize = 10_000;
/// Most variants of a flag.
const MOST_VARIANTS: usize = 64;
/// Most rules of a flag.
const MOST_RULES: usize = 100;
/// Most conditions of a rule.
const MOST_CONDITIONS: usize = 20;
/// Most variants of all flags with key figures: each has counters and, if it is busy for two days, 430 kB of series.
const MOST_COUNTED: usize = 128;
/// Longest description in bytes.
const LONGEST_DESCRIPTION: usize = 1_024;
/// Longest owner in bytes.
const LONGEST_OWNER: usize = 128;
/// Most objects in each other in a value: a record of the history holds it deeper, and must be readable.
const DEEPEST_VALUE: usize = 16;
/// Largest flag as JSON, in bytes.
const LARGEST_FLAG: usize = 64 << 10;

/// Problems of the flags that a change has touched, and of those whose prerequisites it may have broken.
pub(super) fn problems(
    flags: &FlagSpecs,
    touched: &ChangeSet,
    everything: bool,
    problems: &mut Vec<Problem>,
) {
    if !everything && touched.flags.is_empty() {
        return;
    }
    if flags.len() > MOST_FLAGS {
        let message = format!("{} flags; the maximum is {MOST_FLAGS}", flags.len());
        problems.push(Problem::new("flags", message).hint("remove those that are stale"));
    }
    counted(flags, problems);
    for (name, flag) in flags.iter() {
        if everything || touched.flags.contains(name) {
            flag_problems(name, flag, problems);
        }
        if flag.prerequisite.is_some() {
            prerequisite(name, flag, flags, problems);
        }
    }
}

/// Checks the number of variants that key figures are kept of.
fn counted(flags: &FlagSpecs, problems: &mut Vec<Problem>) {
    let flags = flags.iter().filter(|(_, flag)| flag.kpis);
    let count: usize = flags.map(|(_, flag)| flag.variants.len()).sum();
    if count > MOST_COUNTED {
        let message =
            format!("{count} variants of flags with `kpis`; the maximum is {MOST_COUNTED}");
        let problem = Problem::new("flags", message);
        problems.push(problem.hint("take `kpis` away from flags that are not compared any more"));
    }
}

fn flag_problems(name: &FlagName, flag: &FlagSpec, problems: &mut Vec<Problem>) {
    let at = |key: &str| format!("flags.{name}.{key}");
    variants(flag, &at, problems);
    known_variant(flag, &flag.default, &at("default"), problems);
    if flag.rules.len() > MOST_RULES {
        let message = format!("{} rules; the maximum is {MOST_RULES}", flag.rules.len());
        problems.push(Problem::new(at("rules"), message));
    }
    for (place, one) in flag.rules.iter().take(MOST_RULES).enumerate() {
        rule(flag, one, &at(&format!("rules.{place}")), problems);
    }
    let texts = [
        ("description", &flag.description, LONGEST_DESCRIPTION),
        ("owner", &flag.owner, LONGEST_OWNER),
    ];
    for (key, text, longest) in texts {
        let length = text.as_ref().map_or(0, String::len);
        if length > longest {
            let message = format!("it has {length} bytes; the maximum is {longest}");
            problems.push(Problem::new(at(key), message));
        }
    }
    let size = serde_json::to_vec(flag).map_or(0, |json| json.len());
    if size > LARGEST_FLAG {
        let message = format!("it has {size} bytes as JSON; the maximum is {LARGEST_FLAG}");
        problems.push(Problem::new(format!("flags.{name}"), message));
    }
}

fn variants(flag: &FlagSpec, at: &impl Fn(&str) -> String, problems: &mut Vec<Problem>) {
    let count = flag.variants.len();
    if !(1..=MOST_VARIANTS).contains(&count) {
        let message = format!("{count} variants; a flag has 1 to {MOST_VARIANTS}");
        let problem = Problem::new(at("variants"), message);
        problems.push(problem.hint("such as `{ on = true, off = false }`"));
    }
    for (variant, value) in &flag.variants {
        let path = at(&format!("variants.{variant}"));
        if value.kind() != Some(flag.kind) {
            let message = format!(
                "`{}` is not a value of type `{}`",
                short(value),
                flag.kind.as_str()
            );
            problems.push(Problem::new(path, message).hint(match value.kind() {
                Some(kind) => format!("write `type = \"{}\"`, or another value", kind.as_str()),
                None => "a value is a boolean, a string, a number or an object".to_owned(),
            }));
        } else if value.depth() > DEEPEST_VALUE {
            let message = format!(
                "{} objects in each other; the maximum is {DEEPEST_VALUE}",
                value.depth()
            );
            problems.push(Problem::new(path, message).hint("make it flatter"));
        } else if value.has_null() {
            let problem = Problem::new(path, "there is a `null` in it, which a file cannot hold");
            problems.push(problem.hint("leave the key out"));
        }
    }
}

fn rule(flag: &FlagSpec, rule: &FlagRule, at: &str, problems: &mut Vec<Problem>) {
    if rule.when.len() > MOST_CONDITIONS {
        let message = format!(
            "{} conditions; the maximum is {MOST_CONDITIONS}",
            rule.when.len()
        );
        problems.push(Problem::new(format!("{at}.when"), message));
    }
    for (place, condition) in rule.when.iter().take(MOST_CONDITIONS).enumerate() {
        validate_condition::problems(condition, &format!("{at}.when.{place}"), problems);
    }
    let at = format!("{at}.split");
    if rule.split.values().all(|weight| *weight == 0) {
        let problem = Problem::new(&at, "no variant has a weight");
        problems.push(problem.hint("such as `{ on = 5, off = 95 }`"));
    }
    for (variant, weight) in &rule.split {
        let at = format!("{at}.{variant}");
        known_variant(flag, variant, &at, problems);
        if *weight > MAX_WEIGHT {
            let message = format!("the weight {weight} is more than {MAX_WEIGHT}");
            let problem = Problem::new(at, message);
            problems.push(problem.hint("weights are relative: divide all of them"));
        }
    }
}

fn known_variant(flag: &FlagSpec, variant: &VariantName, at: &str, problems: &mut Vec<Problem>) {
    if flag.variants.contains_key(variant) {
        return;
    }
    let problem = Problem::new(at, format!("no variant is called `{variant}`"));
    let known = flag.variants.keys().map(VariantName::as_str);
    problems.push(match closest(variant.as_str(), known) {
        Some(hint) => problem.hint(hint),
        None => problem,
    });
}

/// Problems of the chain of prerequisites that begins at a flag.
fn prerequisite(name: &FlagName, flag: &FlagSpec, flags: &FlagSpecs, problems: &mut Vec<Problem>) {
    let Some(wanted) = &flag.prerequisite else {
        return;
    };
    let at = |key: &str| format!("flags.{name}.prerequisite.{key}");
    let Some(before) = flags.get(&wanted.flag) else {
        let problem = Problem::new(at("flag"), format!("no flag is called `{}`", wanted.flag));
        let known = flags.iter().map(|(name, _)| name.as_str());
        problems.push(match closest(wanted.flag.as_str(), known) {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
        return;
    };
    known_variant(before, &wanted.variant, &at("variant"), problems);
    let mut seen = BTreeSet::from([name]);
    let mut next = Some(&wanted.flag);
    while let Some(here) = next {
        if !seen.insert(here) {
            // A chain that leads into the cycle of others is no cycle of this flag.
            if here == name {
                let problem = Problem::new(at("flag"), "the prerequisites go in a circle");
                problems.push(problem.hint("remove one of them"));
            }
            return;
        }
        if seen.len() > LONGEST_CHAIN {
            let message = format!("more than {LONGEST_CHAIN} flags depend on one another in a row");
            problems
                .push(Problem::new(at("flag"), message).hint("name the first of them directly"));
            return;
        }
        next = flags
            .get(here)
            .and_then(|flag| Some(&flag.prerequisite.as_ref()?.flag));
    }
}

fn short(value: &FlagValue) -> String {
    value.to_string().chars().take(40).collect()
}
