//! A compiled flag: which variant a context gets.
//!
//! The share of a variant is drawn by the same weighted rendezvous as the split of a route ([`rendezvous`]), with the
//! flag's and the variant's name as the seed. So the users of two flags are independent of one another, who has a
//! variant keeps it while it grows, and going back restores the exact assignment.

use std::sync::Arc;

use serde_json::{Map, Number, Value};

use super::{flag_condition::Condition, hash};
use crate::model::{
    FlagName, FlagRule, FlagSpec, FlagState, FlagType, Hashed, VariantName, rendezvous,
};

/// A flag with its rules compiled.
#[derive(Debug)]
pub struct Flag {
    name: FlagName,
    spec: Arc<Hashed<FlagSpec>>,
    variants: Box<[Variant]>,
    // Invariant: an index into `variants`, as are those of the rules.
    default: usize,
    rules: Box<[Rule]>,
}

/// A named value of a flag.
#[derive(Debug)]
pub struct Variant {
    name: VariantName,
    value: Value,
}

#[derive(Debug)]
struct Rule {
    when: Box<[Condition]>,
    draws: Box<[Draw]>,
}

/// A variant with a weight in a rule's split; those without one are left out.
#[derive(Debug)]
struct Draw {
    variant: usize,
    weight: u32,
    seed: u64,
}

/// The choice among a flag's variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Static(usize),
    Default(usize),
    Match { variant: usize, rule: usize },
    Split { variant: usize, rule: usize },
    NoKey { rule: usize },
}

impl Flag {
    /// Compiles a flag; `None` if a variant, a weight or a condition is missing, which validation has refused.
    pub(super) fn new(name: &FlagName, spec: Arc<Hashed<FlagSpec>>) -> Option<Self> {
        let with_point =
            spec.kind == FlagType::Number && spec.variants.values().any(|value| value.is_f64());
        let variants: Box<[_]> = spec
            .variants
            .iter()
            .map(|(name, value)| Variant {
                name: name.clone(),
                value: if with_point {
                    pointed(value)
                } else {
                    (**value).clone()
                },
            })
            .collect();
        let rules: Option<Box<[_]>> = spec
            .rules
            .iter()
            .map(|rule| Rule::new(name, rule, &variants))
            .collect();
        Some(Self {
            name: name.clone(),
            default: place_of(&variants, &spec.default)?,
            rules: rules?,
            variants,
            spec,
        })
    }

    /// Its name.
    pub fn name(&self) -> &FlagName {
        &self.name
    }

    /// The flag as it was written.
    pub fn spec(&self) -> &Arc<Hashed<FlagSpec>> {
        &self.spec
    }

    /// Its variants; the place of each is the number by which it is chosen.
    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    pub(super) fn variant(&self, place: usize) -> &Variant {
        &self.variants[place]
    }

    /// The default variant: its place.
    pub(super) fn default_variant(&self) -> usize {
        self.default
    }

    /// True if it is off, and so everybody gets the default.
    pub fn is_off(&self) -> bool {
        self.spec.state == FlagState::Off
    }

    /// The place of a variant.
    pub(super) fn place_of(&self, variant: &VariantName) -> Option<usize> {
        place_of(&self.variants, variant)
    }

    /// The variant that the split of a rule gives to a key.
    pub(super) fn draw(&self, rule: usize, key: u64) -> usize {
        let rule = self.rules.get(rule);
        rule.map_or(self.default, |rule| drawn(&rule.draws, key))
    }

    /// The variant that the rules give to a context.
    pub(super) fn choose(&self, key: Option<&str>, attributes: &Map<String, Value>) -> Choice {
        let matches = |rule: &Rule| {
            rule.when
                .iter()
                .all(|condition| condition.holds(attributes))
        };
        let Some(place) = self.rules.iter().position(matches) else {
            return if self.rules.is_empty() {
                Choice::Static(self.default)
            } else {
                Choice::Default(self.default)
            };
        };
        let rule = &self.rules[place];
        match (&*rule.draws, key) {
            ([only], _) if place == 0 && rule.when.is_empty() => Choice::Static(only.variant),
            ([only], _) => Choice::Match {
                variant: only.variant,
                rule: place,
            },
            (draws, Some(key)) => Choice::Split {
                variant: drawn(draws, hash::key_of(key.as_bytes())),
                rule: place,
            },
            (_, None) => Choice::NoKey { rule: place },
        }
    }
}

impl Variant {
    /// Its name.
    pub fn name(&self) -> &VariantName {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

impl Rule {
    fn new(flag: &FlagName, spec: &FlagRule, variants: &[Variant]) -> Option<Self> {
        let draw = |(name, weight): (&VariantName, &u32)| {
            Some(Draw {
                variant: place_of(variants, name)?,
                weight: *weight,
                seed: hash::seed_of(flag.as_str(), name.as_str()),
            })
        };
        let weighed = spec.split.iter().filter(|(_, weight)| **weight > 0);
        let draws: Option<Box<[_]>> = weighed.map(draw).collect();
        let when: Option<Box<[_]>> = spec.when.iter().map(Condition::new).collect();
        let draws = draws.filter(|draws| !draws.is_empty())?;
        Some(Self { when: when?, draws })
    }
}

fn drawn(draws: &[Draw], key: u64) -> usize {
    let score = |draw: &Draw| rendezvous::score(key, draw.seed, draw.weight);
    let mut best = (f64::NEG_INFINITY, 0);
    for draw in draws {
        let score = score(draw);
        if score > best.0 {
            best = (score, draw.variant);
        }
    }
    best.1
}

fn place_of(variants: &[Variant], name: &VariantName) -> Option<usize> {
    variants.iter().position(|variant| variant.name == *name)
}

/// The number with a point: a client that asks for a float refuses `1`.
fn pointed(value: &Value) -> Value {
    let number = value.as_f64().and_then(Number::from_f64);
    number.map_or_else(|| value.clone(), Value::Number)
}
