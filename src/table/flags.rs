//! Evaluation of flags: a function of the table, the key and the attributes, and of nothing else.

use std::sync::Arc;

use serde_json::{Map, Value};
use thiserror::Error;

use super::flag::{Choice, Flag, Variant};
use crate::model::{
    ChangeSet, FlagName, FlagReason, FlagSpec, FlagSpecs, Hashed, Problem, SortedMap, TARGETING_KEY,
};

/// Most flags in a row of prerequisites.
pub(super) const LONGEST_CHAIN: usize = 8;

/// All flags of a table, compiled.
#[derive(Debug, Clone, Default)]
pub struct Flags(SortedMap<FlagName, Arc<Flag>>);

/// A context of an evaluation: the key of splits and the attributes that rules compare.
#[derive(Debug, Clone, Default)]
pub struct FlagContext(Map<String, Value>);

/// Result of an evaluation.
#[derive(Debug, Clone, Copy)]
pub struct Evaluation<'a> {
    /// The variant.
    pub variant: &'a Variant,
    /// Reason for it.
    pub reason: FlagReason,
    /// Index of the rule that matched.
    pub rule: Option<usize>,
    /// The prerequisite that gave another variant than the flag asks for.
    pub unmet: Option<&'a FlagName>,
}

/// Reason why a flag has no value for a context.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FlagError {
    /// There is no flag of that name.
    #[error("no flag is called `{0}`")]
    NotFound(String),
    /// The rule that matches has several variants, and the context no key.
    #[error("`rules[{rule}]` of flag `{flag}` splits by `targetingKey`, and the context has none")]
    NoKey {
        /// The flag.
        flag: FlagName,
        /// Index of the rule.
        rule: usize,
    },
}

impl FlagContext {
    /// A context of these attributes; `targetingKey` is one of them.
    pub fn new(attributes: Map<String, Value>) -> Self {
        Self(attributes)
    }

    /// The key of splits; an empty one is none.
    pub fn key(&self) -> Option<&str> {
        let key = self.0.get(TARGETING_KEY).and_then(Value::as_str);
        key.filter(|key| !key.is_empty())
    }

    /// The attributes.
    pub fn attributes(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl Flags {
    /// Compiles the flags that a change has touched, and shares the others with the table before.
    pub(super) fn compile(
        specs: &FlagSpecs,
        touched: &ChangeSet,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<Problem>> {
        let Some(previous) = previous else {
            let names = specs.iter().map(|(name, _)| name);
            return Self::default().updated(specs, names);
        };
        if touched.flags.is_empty() {
            return Ok(previous.clone());
        }
        previous.updated(specs, touched.flags.iter())
    }

    fn updated<'a>(
        &self,
        specs: &FlagSpecs,
        names: impl Iterator<Item = &'a FlagName>,
    ) -> Result<Self, Vec<Problem>> {
        let mut flags = self.0.clone();
        let mut all = Vec::new();
        for name in names {
            let Some(spec) = specs.get(name) else {
                flags = flags.without(name);
                continue;
            };
            let flag = compile_flag(name, spec)?;
            if self.is_empty() {
                all.push((name.clone(), flag));
            } else {
                flags = flags.with(name.clone(), flag);
            }
        }
        Ok(Self(if self.is_empty() {
            all.into_iter().collect()
        } else {
            flags
        }))
    }

    /// Number of flags.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is no flag.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All flags by name.
    pub fn iter(&self) -> impl Iterator<Item = (&FlagName, &Arc<Flag>)> {
        self.0.iter()
    }

    /// Flag of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Flag>> {
        self.0.get(name)
    }

    /// True if both are the same flags in memory.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        self.0.is_shared_with(&other.0)
    }

    /// The variant of a flag for a context.
    ///
    /// # Errors
    /// If there is no such flag, or if its split needs a key that the context does not have.
    pub fn evaluate(&self, name: &str, context: &FlagContext) -> Result<Evaluation<'_>, FlagError> {
        let Some(flag) = self.0.get(name) else {
            return Err(FlagError::NotFound(name.chars().take(80).collect()));
        };
        self.evaluate_flag(flag, context, LONGEST_CHAIN)
            .map_err(|(flag, rule)| FlagError::NoKey {
                flag: flag.clone(),
                rule,
            })
    }

    fn evaluate_flag<'a>(
        &'a self,
        flag: &'a Flag,
        context: &FlagContext,
        depth: usize,
    ) -> Result<Evaluation<'a>, (&'a FlagName, usize)> {
        let default = |reason, unmet| Evaluation {
            variant: flag.variant(flag.default_variant()),
            reason,
            rule: None,
            unmet,
        };
        if flag.is_off() {
            return Ok(default(FlagReason::Disabled, None));
        }
        if let Some(wanted) = &flag.spec().prerequisite {
            let before = self.0.get(&wanted.flag).filter(|_| depth > 0);
            let before = before.map(|before| self.evaluate_flag(before, context, depth - 1));
            let is_met = |before: &Evaluation<'_>| *before.variant.name() == wanted.variant;
            if !before.transpose()?.as_ref().is_some_and(is_met) {
                return Ok(default(FlagReason::Default, Some(&wanted.flag)));
            }
        }
        let (reason, variant, rule) = match flag.choose(context.key(), context.attributes()) {
            Choice::Static(variant) => (FlagReason::Static, variant, None),
            Choice::Default(variant) => (FlagReason::Default, variant, None),
            Choice::Match { variant, rule } => (FlagReason::TargetingMatch, variant, Some(rule)),
            Choice::Split { variant, rule } => (FlagReason::Split, variant, Some(rule)),
            Choice::NoKey { rule } => return Err((flag.name(), rule)),
        };
        Ok(Evaluation {
            variant: flag.variant(variant),
            reason,
            rule,
            unmet: None,
        })
    }
}

fn compile_flag(name: &FlagName, spec: &Arc<Hashed<FlagSpec>>) -> Result<Arc<Flag>, Vec<Problem>> {
    // Validated input cannot fail here; a gap in the validation is reported as an error instead of a panic.
    let unsound = || {
        let message = "the flag names an unknown variant, or compares with nothing";
        vec![Problem::new(format!("flags.{name}"), message)]
    };
    let flag = Flag::new(name, Arc::clone(spec));
    flag.map(Arc::new).ok_or_else(unsound)
}

#[cfg(test)]
mod tests;
