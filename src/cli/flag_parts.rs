//! Parts of flags, as typed: a variant with its value or its percent, and an attribute.

use std::{collections::BTreeMap, str::FromStr};

use crate::model::{FlagRule, FlagSpec, NameError, Percent, VariantName, VariantWeights};

/// A variant and its value.
#[derive(Debug, Clone)]
pub(super) struct VariantValue(pub(super) VariantName, pub(super) String);

/// A variant and its percent.
#[derive(Debug, Clone)]
pub(super) struct Share(VariantName, Percent);

impl FromStr for VariantValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = halves(text, "NAME=VALUE, such as on=true")?;
        Ok(Self(name, value.to_owned()))
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, percent) = halves(text, "VARIANT=PERCENT, such as on=5")?;
        Ok(Self(name, percent.parse()?))
    }
}

fn halves<'a>(text: &'a str, form: &str) -> Result<(VariantName, &'a str), String> {
    let (name, rest) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not {form}"))?;
    let name = name.parse().map_err(|error: NameError| error.to_string())?;
    Ok((name, rest))
}

/// Parses an attribute of a context.
pub(super) fn attribute(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is not NAME=VALUE, such as plan=pro")),
    }
}

/// The rules of a flag with these percents in the rule that matches every context, which comes last.
pub(super) fn rolled_out(flag: &FlagSpec, shares: &[Share]) -> Result<Vec<FlagRule>, String> {
    let split = split(flag, shares)?;
    let mut rules = flag.rules.clone();
    match rules.iter_mut().find(|rule| rule.when.is_empty()) {
        Some(rule) => rule.split = split,
        None => rules.push(FlagRule {
            when: Vec::new(),
            split,
        }),
    }
    Ok(rules)
}

fn split(flag: &FlagSpec, shares: &[Share]) -> Result<VariantWeights, String> {
    let mut percents = BTreeMap::new();
    for Share(name, percent) in shares {
        if percents.insert(name.clone(), *percent).is_some() {
            return Err(format!("`{name}` is listed twice"));
        }
    }
    let given: u64 = percents
        .values()
        .map(|percent| u64::from(percent.parts()))
        .sum();
    let whole = u64::from(Percent::ALL.parts());
    let Some(rest) = whole.checked_sub(given) else {
        return Err("the percents come to more than 100".to_owned());
    };
    if rest > 0 && percents.contains_key(&flag.default) {
        return Err(format!(
            "the percents come to less than 100, and the default `{}`, which gets the rest, is among them\nhint: leave it out",
            flag.default
        ));
    }
    let mut weights: VariantWeights = percents
        .into_iter()
        .map(|(name, percent)| (name, percent.parts()))
        .collect();
    let rest = u32::try_from(rest).unwrap_or_default();
    weights.entry(flag.default.clone()).or_insert(rest);
    let divisor = weights
        .values()
        .copied()
        .fold(0, greatest_common_divisor)
        .max(1);
    for weight in weights.values_mut() {
        *weight /= divisor;
    }
    Ok(weights)
}

fn greatest_common_divisor(one: u32, other: u32) -> u32 {
    if other == 0 {
        one
    } else {
        greatest_common_divisor(other, one % other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolled(rules: &str, shares: &[&str]) -> Result<String, String> {
        let flag = format!(
            r#"{{"type":"boolean","variants":{{"on":true,"off":false}},"default":"off","rules":{rules}}}"#
        );
        let flag: FlagSpec = serde_json::from_str(&flag).unwrap();
        let shares: Result<Vec<Share>, _> = shares.iter().map(|share| share.parse()).collect();
        rolled_out(&flag, &shares?).map(|rules| serde_json::to_string(&rules).unwrap())
    }

    #[test]
    fn percents_go_to_the_rule_for_all_and_the_default_gets_the_rest() {
        assert_eq!(
            rolled("[]", &["on=5"]).unwrap(),
            r#"[{"split":{"off":19,"on":1}}]"#
        );
        assert_eq!(
            rolled("[]", &["on=0.01"]).unwrap(),
            r#"[{"split":{"off":9999,"on":1}}]"#
        );
        assert_eq!(
            rolled("[]", &["on=100"]).unwrap(),
            r#"[{"split":{"off":0,"on":1}}]"#
        );
        let first = r#"{"when":[{"attribute":"plan","equals":"pro"}],"split":{"on":1}}"#;
        let rules = format!(r#"[{first},{{"split":{{"on":1,"off":1}}}}]"#);
        let expected = format!(r#"[{first},{{"split":{{"off":3,"on":1}}}}]"#);
        assert_eq!(rolled(&rules, &["on=25"]).unwrap(), expected);
        for wrong in [
            vec!["on=60", "off=30"],
            vec!["on=101"],
            vec!["on=5", "on=6"],
            vec!["on"],
        ] {
            assert!(rolled("[]", &wrong).is_err(), "{wrong:?}");
        }
    }
}
