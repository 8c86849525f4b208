//! A flag, decided as far as everything but the key decides it.
//!
//! All attributes of a request on a route are known once its release is, so conditions are compared when the table is
//! compiled, and a request only draws.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    flag::{Choice, Flag},
    flags::{Flags, LONGEST_CHAIN},
};

/// The rest of an evaluation, for given attributes.
#[derive(Debug)]
pub(super) enum FlagPlan {
    /// Every key gets this variant.
    Fixed(usize),
    /// The key decides by the split of a rule.
    Drawn { flag: Arc<Flag>, rule: usize },
    /// The prerequisite depends on the key: it must give `wanted`, or the flag gives its default.
    Gated {
        before: Box<Self>,
        wanted: usize,
        default: usize,
        then: Box<Self>,
    },
}

impl FlagPlan {
    /// Plan of a flag; `sources` gets all flags that it depends on.
    pub(super) fn new(
        flags: &Flags,
        flag: &Arc<Flag>,
        attributes: &Map<String, Value>,
        sources: &mut Vec<Arc<Flag>>,
    ) -> Self {
        Self::of_chain(flags, flag, attributes, sources, LONGEST_CHAIN)
    }

    fn of_chain(
        flags: &Flags,
        flag: &Arc<Flag>,
        attributes: &Map<String, Value>,
        sources: &mut Vec<Arc<Flag>>,
        depth: usize,
    ) -> Self {
        sources.push(Arc::clone(flag));
        let default = flag.default_variant();
        if flag.is_off() {
            return Self::Fixed(default);
        }
        let own = || match flag.choose(None, attributes) {
            Choice::Static(variant)
            | Choice::Default(variant)
            | Choice::Match { variant, .. }
            | Choice::Split { variant, .. } => Self::Fixed(variant),
            Choice::NoKey { rule } => Self::Drawn {
                flag: Arc::clone(flag),
                rule,
            },
        };
        let Some(needed) = &flag.spec().prerequisite else {
            return own();
        };
        let before = flags.get(needed.flag.as_str()).filter(|_| depth > 0);
        let Some((before, wanted)) =
            before.and_then(|before| Some((before, before.place_of(&needed.variant)?)))
        else {
            return Self::Fixed(default);
        };
        match Self::of_chain(flags, before, attributes, sources, depth - 1) {
            Self::Fixed(given) if given == wanted => own(),
            Self::Fixed(_) => Self::Fixed(default),
            before => Self::Gated {
                before: Box::new(before),
                wanted,
                default,
                then: Box::new(own()),
            },
        }
    }

    /// The variant for a key.
    pub(super) fn variant(&self, key: u64) -> usize {
        match self {
            Self::Fixed(variant) => *variant,
            Self::Drawn { flag, rule } => flag.draw(*rule, key),
            Self::Gated {
                before,
                wanted,
                default,
                then,
            } => {
                if before.variant(key) == *wanted {
                    then.variant(key)
                } else {
                    *default
                }
            }
        }
    }
}
