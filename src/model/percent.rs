//! Percents of a route: some releases get fixed ones, the others share the rest in proportion.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{MAX_WEIGHT, Problem, ReleaseName, RouteName, Weights, schema::keywords};

/// Resolution of a percent: four decimal places.
const PARTS: u32 = 10_000;

/// 100 percent in this resolution.
const WHOLE: u64 = 100 * PARTS as u64;

/// Percents per release.
pub type Percents = BTreeMap<ReleaseName, Percent>;

/// A percent from 0 to 100, with up to four decimal places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

impl Percent {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(100 * PARTS);

    /// Whole percents, at most 100.
    pub const fn of(percents: u32) -> Self {
        if percents > 100 {
            return Self::ALL;
        }
        Self(percents * PARTS)
    }

    /// The percents that are missing to 100.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(Self::ALL.0 - self.0)
    }

    /// The percents that a weight is of a sum of weights, rounded down.
    pub fn of_weights(weight: u32, total: u64) -> Self {
        let parts = u64::from(weight) * WHOLE / total.max(1);
        Self(u32::try_from(parts.min(WHOLE)).unwrap_or(Self::ALL.0))
    }

    /// The same in ten-thousandths of a percent, so that it is a weight.
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// The share, from 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ALL.0)
    }
}

impl FromStr for Percent {
    type Err = String;

    /// Parses `5`, `0.5` or `5%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text);
        let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let parts = || {
            let whole: u32 = whole.parse().ok()?;
            let rest: u32 = format!("{rest:0<4}").parse().ok()?;
            whole.checked_mul(PARTS)?.checked_add(rest)
        };
        let fits = digits(whole) && digits(rest) && rest.len() <= 4;
        let parts = fits.then(parts).flatten();
        let parts = parts.filter(|parts| u64::from(*parts) <= WHOLE);
        parts
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a percent: 0 to 100, with up to four decimals"))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / PARTS, self.0 % PARTS);
        if rest == 0 {
            return whole.fmt(f);
        }
        let rest = format!("{rest:04}");
        write!(f, "{whole}.{}", rest.trim_end_matches('0'))
    }
}

impl PartialSchema for Percent {
    fn schema() -> RefOr<Schema> {
        keywords(serde_json::json!({
            "type": "number",
            "description": "Percents, with up to four decimals.",
            "minimum": 0,
            "maximum": 100,
            "multipleOf": 0.0001,
            "examples": [5],
        }))
        .into()
    }
}

impl ToSchema for Percent {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed("Percent")
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(PARTS) {
            return serializer.serialize_u32(self.0 / PARTS);
        }
        serializer.serialize_f64(f64::from(self.0) / f64::from(PARTS))
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PercentVisitor)
    }
}

struct PercentVisitor;

impl Visitor<'_> for PercentVisitor {
    type Value = Percent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number from 0 to 100")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Percent, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Percent, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Percent, E> {
        // The shortest text of a number is the original one, up to four digits.
        number.to_string().parse().map_err(E::custom)
    }
}

/// Weights of a route, which has this split, that give these percents to some releases and the rest to the others, in proportion.
///
/// Their sum is the smallest power of ten from 100 to 1,000,000 that is exact, so that 5 percent reads as 5 of 100; if
/// none is, the proportion of the others is rounded to millionths.
///
/// # Errors
/// If the percents add up to more than 100, or to less and no other release has a weight.
pub(super) fn weights(
    (route, split): (&RouteName, &Weights),
    percents: &Percents,
) -> Result<Weights, Vec<Problem>> {
    let named: u64 = percents.values().map(|percent| u64::from(percent.0)).sum();
    let others: Vec<(&ReleaseName, u64)> = split
        .iter()
        .filter(|(name, weight)| **weight > 0 && !percents.contains_key(*name))
        .map(|(name, weight)| (name, u64::from(*weight)))
        .collect();
    let rest = WHOLE
        .checked_sub(named)
        .ok_or_else(|| problem(route, named, "more than 100", TOO_MUCH))?;
    if rest > 0 && others.is_empty() {
        return Err(problem(
            route,
            named,
            "not 100, and no other release has a weight",
            TOO_LITTLE,
        ));
    }
    let mut weights: Weights = split.keys().map(|name| (name.clone(), 0)).collect();
    weights.extend(
        percents
            .iter()
            .map(|(name, percent)| (name.clone(), percent.0)),
    );
    weights.extend(shared(rest, &others));
    Ok(shortened(weights))
}

const TOO_MUCH: &str =
    "name percents that add up to 100 at most; relative weights replace the whole split";
const TOO_LITTLE: &str =
    "name percents that add up to 100; relative weights replace the whole split";

fn problem(route: &RouteName, named: u64, what: &str, hint: &str) -> Vec<Problem> {
    let sum = Percent(u32::try_from(named).unwrap_or(u32::MAX));
    let message = format!("the percents add up to {sum}, {what}");
    vec![Problem::new(format!("routes.{route}.split"), message).hint(hint)]
}

/// Distributes parts in proportion: each release gets its part rounded down, and the largest remainders get one more.
/// A release with a weight keeps some as long as there is enough.
fn shared(rest: u64, others: &[(&ReleaseName, u64)]) -> Vec<(ReleaseName, u32)> {
    let total = others.iter().map(|(_, weight)| weight).sum::<u64>().max(1);
    let mut order: Vec<usize> = (0..others.len()).collect();
    let remainder = |place: usize| rest * others[place].1 % total;
    order.sort_by_key(|place| std::cmp::Reverse((remainder(*place), usize::MAX - place)));
    let down = |weight: u64| rest * weight / total;
    let given: u64 = others.iter().map(|(_, weight)| down(*weight)).sum();
    let more = usize::try_from(rest - given).unwrap_or(0);
    let lucky = &order[..more.min(order.len())];
    let share = |(place, (name, weight)): (usize, &(&ReleaseName, u64))| {
        let share = down(*weight) + u64::from(lucky.contains(&place));
        ((*name).clone(), u32::try_from(share).unwrap_or(MAX_WEIGHT))
    };
    others.iter().enumerate().map(share).collect()
}

/// Scales the weights down to the smallest sum from 100 that is a power of ten.
fn shortened(weights: Weights) -> Weights {
    let exact = |by: &u32| weights.values().all(|weight| weight.is_multiple_of(*by));
    let by = [10_000, 1_000, 100, 10]
        .into_iter()
        .find(exact)
        .unwrap_or(1);
    weights
        .into_iter()
        .map(|(name, weight)| (name, weight / by))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(split: &[(&str, u32)]) -> Weights {
        let split = split
            .iter()
            .map(|(name, weight)| (name.parse().unwrap(), *weight));
        split.collect()
    }

    fn chat() -> RouteName {
        "chat".parse().unwrap()
    }

    fn percents(named: &[(&str, &str)]) -> Percents {
        let named = named.iter();
        named
            .map(|(name, percent)| (name.parse().unwrap(), percent.parse().unwrap()))
            .collect()
    }

    fn done(split: &[(&str, u32)], named: &[(&str, &str)]) -> Vec<(String, u32)> {
        let weights = weights((&chat(), &of(split)), &percents(named)).unwrap();
        weights
            .iter()
            .map(|(name, weight)| (name.to_string(), *weight))
            .collect()
    }

    fn pairs(expected: &[(&str, u32)]) -> Vec<(String, u32)> {
        expected
            .iter()
            .map(|(name, weight)| ((*name).to_owned(), *weight))
            .collect()
    }

    #[test]
    fn five_percent_are_five_of_a_hundred_and_the_rest_stays_in_proportion() {
        let five = &[("green", "5")];
        assert_eq!(
            done(&[("blue", 1), ("green", 0)], five),
            pairs(&[("blue", 95), ("green", 5)])
        );
        assert_eq!(
            done(&[("blue", 1000)], five),
            pairs(&[("blue", 95), ("green", 5)])
        );
        assert_eq!(
            done(
                &[("blue", 60), ("green", 10), ("red", 30)],
                &[("green", "25")]
            ),
            pairs(&[("blue", 50), ("green", 25), ("red", 25)])
        );
        assert_eq!(
            done(&[("blue", 2), ("red", 1)], &[("green", "5")]),
            pairs(&[("blue", 633_333), ("green", 50_000), ("red", 316_667)])
        );
        assert_eq!(
            done(&[("blue", 1)], &[("green", "0.5")]),
            pairs(&[("blue", 995), ("green", 5)])
        );
    }

    #[test]
    fn percents_of_all_are_the_whole_split_and_those_at_zero_stay_in_it() {
        assert_eq!(
            done(
                &[("blue", 1), ("green", 1), ("red", 0)],
                &[("blue", "95"), ("green", "5")]
            ),
            pairs(&[("blue", 95), ("green", 5), ("red", 0)])
        );
        assert_eq!(
            done(&[("blue", 7), ("green", 0)], &[("green", "100")]),
            pairs(&[("blue", 0), ("green", 100)])
        );
    }

    #[test]
    fn sums_that_cannot_be_are_refused_with_a_hint() {
        for named in [
            &[("blue", "95"), ("green", "6")][..],
            &[("blue", "1"), ("green", "1")],
        ] {
            let problems = weights(
                (&chat(), &of(&[("blue", 1), ("green", 1)])),
                &percents(named),
            );
            assert!(problems.unwrap_err()[0].hint.is_some());
        }
    }

    #[test]
    fn a_percent_is_read_and_written_as_people_do() {
        for (text, shown) in [
            ("5", "5"),
            ("5%", "5"),
            ("0.5", "0.5"),
            ("99.9999", "99.9999"),
            ("7.50", "7.5"),
        ] {
            let percent: Percent = text.parse().unwrap();
            assert_eq!(percent.to_string(), shown);
            let json = serde_json::to_string(&percent).unwrap();
            assert_eq!(
                serde_json::from_str::<Percent>(&json).unwrap(),
                percent,
                "{json}"
            );
        }
        for wrong in ["", "-1", "101", "1.00001", "five", ".5", "5%%", "1e1"] {
            assert!(wrong.parse::<Percent>().is_err(), "{wrong}");
        }
        assert_eq!(
            serde_json::from_str::<Percent>("5.0").unwrap().to_string(),
            "5"
        );
    }

    proptest! {
        #[test]
        fn what_is_named_is_exact_and_the_others_keep_their_proportion(
            blue in 1..=MAX_WEIGHT, red in 1..=MAX_WEIGHT, green in 0..=1_000_000_u32,
        ) {
            let named = Percents::from([("green".parse().unwrap(), Percent(green))]);
            let weights = weights((&chat(), &of(&[("blue", blue), ("red", red)])), &named).unwrap();
            let weight = |name: &str| f64::from(weights[name]);
            let total = weight("blue") + weight("green") + weight("red");
            prop_assert!(weights.values().all(|weight| *weight <= MAX_WEIGHT));
            let exact = u64::from(weights["green"]) * 1_000_000;
            let sum: u64 = weights.values().map(|weight| u64::from(*weight)).sum();
            prop_assert_eq!(exact, u64::from(green) * sum);
            let rest = f64::from(1_000_000 - green) / f64::from(1_000_000_u32);
            let expected = rest * f64::from(blue) / f64::from(blue + red);
            prop_assert!((weight("blue") / total - expected).abs() <= 1e-6);
        }
    }
}
