//! Application of changes of flags.

use std::{collections::BTreeSet, sync::Arc};

use super::{Applied, ChangeError, ChangeSet};
use crate::model::{
    FlagName, FlagPatch, FlagSpec, FlagState, Hashed, Problem, TableSpec, TableState,
};

pub(super) fn put_flag(state: &TableState, name: &FlagName, flag: &FlagSpec) -> Applied {
    let same = state.spec.flag(name).is_some_and(|old| ***old == *flag);
    let spec = if same {
        state.spec.clone()
    } else {
        state
            .spec
            .with_flag(name.clone(), Arc::new(Hashed::new(flag.clone())))
    };
    of(state, name, spec)
}

pub(super) fn patch_flag(
    state: &TableState,
    name: &FlagName,
    patch: &FlagPatch,
) -> Result<Applied, ChangeError> {
    let flag = patch.applied_to(find(state, name)?).map_err(|error| {
        ChangeError::Invalid(vec![
            Problem::new(
                format!("flags.{name}"),
                format!("the patch leads to no flag: {error}"),
            )
            .hint("it is a JSON merge patch: the keys that change, and `null` to remove one"),
        ])
    })?;
    Ok(put_flag(state, name, &flag))
}

pub(super) fn set_flag_state(
    state: &TableState,
    name: &FlagName,
    to: FlagState,
) -> Result<Applied, ChangeError> {
    let flag = FlagSpec {
        state: to,
        ..(**find(state, name)?).clone()
    };
    Ok(put_flag(state, name, &flag))
}

pub(super) fn remove_flag(state: &TableState, name: &FlagName) -> Result<Applied, ChangeError> {
    find(state, name)?;
    Ok(of(state, name, state.spec.without_flag(name)))
}

fn find<'a>(state: &'a TableState, name: &FlagName) -> Result<&'a Hashed<FlagSpec>, ChangeError> {
    let unknown = || ChangeError::UnknownFlag {
        name: name.to_string(),
        known: state
            .spec
            .flags()
            .iter()
            .map(|(name, _)| name.clone())
            .collect(),
    };
    state
        .spec
        .flag(name)
        .map(|flag| &**flag)
        .ok_or_else(unknown)
}

fn of(state: &TableState, name: &FlagName, spec: TableSpec) -> Applied {
    Applied {
        state: TableState {
            spec,
            rosters: Arc::clone(&state.rosters),
        },
        touched: ChangeSet {
            flags: BTreeSet::from([name.clone()]),
            ..ChangeSet::default()
        },
    }
}
