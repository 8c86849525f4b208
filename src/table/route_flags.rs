//! Flags that a route hands to its endpoints, compiled with the route: a request draws a variant of each and copies its
//! text.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    flag::{Flag, Variant},
    flag_plan::FlagPlan,
    flag_text::{baggage_text, field_text},
    flags::Flags,
    split::{Split, SplitEntry},
};
use crate::{
    fleet::Fleet,
    message::FLAG_FIELD,
    model::{RELEASE_ATTRIBUTE, RouteSpec, VariantMark},
    stats::OutcomeTable,
};

/// Most flags that a route hands over.
pub(super) const MOST_ROUTE_FLAGS: usize = 16;

/// Start of the keys of their members in `baggage`.
pub const FLAG_MEMBER: &str = "flag.";

/// Flags of a route, for each of its releases.
#[derive(Debug)]
pub struct RouteFlags {
    flags: Box<[RouteFlag]>,
    in_baggage: bool,
    // Every flag that they depend on, as it was when the route was compiled.
    sources: Box<[Arc<Flag>]>,
}

/// A flag of a route.
#[derive(Debug)]
struct RouteFlag {
    flag: Arc<Flag>,
    field: Box<str>,
    // By variant.
    texts: Box<[VariantText]>,
    // By entry of the route's split.
    plans: Box<[FlagPlan]>,
    // By variant; none if the flag asks for no key figures.
    cells: Box<[(VariantMark, Arc<OutcomeTable>)]>,
}

/// A variant as endpoints get it.
#[derive(Debug)]
struct VariantText {
    field: Box<str>,
    // Empty if the route does not ask for baggage.
    member: Box<str>,
}

/// The variants of a route's flags for one request, in the order of its flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlagVariants([u8; MOST_ROUTE_FLAGS]);

impl RouteFlags {
    /// Compiles the flags of a route; `Ok(None)` if it has none.
    ///
    /// # Errors
    /// If one of them is not in the table, which validation has refused.
    pub(super) fn new(
        route: &RouteSpec,
        split: &Split,
        flags: &Flags,
        fleet: &Fleet,
    ) -> Result<Option<Box<Self>>, ()> {
        if route.flags.is_empty() {
            return Ok(None);
        }
        let contexts: Vec<_> = split
            .entries()
            .iter()
            .map(|entry| attributes(route, entry))
            .collect();
        let mut sources = Vec::new();
        let handed = route.flags.iter().take(MOST_ROUTE_FLAGS).map(|name| {
            let flag = flags.get(name.as_str()).ok_or(())?;
            Ok(RouteFlag {
                field: format!("{FLAG_FIELD}{name}").into(),
                texts: texts(flag, route.flag_baggage),
                plans: contexts
                    .iter()
                    .map(|context| FlagPlan::new(flags, flag, context, &mut sources))
                    .collect(),
                cells: cells(flag, fleet),
                flag: Arc::clone(flag),
            })
        });
        let handed: Result<Box<[_]>, ()> = handed.collect();
        let handed = handed?;
        sources.sort_by_key(Arc::as_ptr);
        sources.dedup_by(|a, b| Arc::ptr_eq(a, b));
        Ok(Some(Box::new(Self {
            flags: handed,
            in_baggage: route.flag_baggage,
            sources: sources.into(),
        })))
    }

    /// True if nothing that they depend on is another flag by now.
    pub(super) fn is_current(&self, flags: &Flags) -> bool {
        let is_same = |flag: &Arc<Flag>| {
            let now = flags.get(flag.name().as_str());
            now.is_some_and(|now| Arc::ptr_eq(now, flag))
        };
        self.sources.iter().all(is_same)
    }

    /// The variants for a key on the release at an entry of the route's split.
    pub fn variants(&self, entry: usize, key: u64) -> FlagVariants {
        let mut variants = FlagVariants::default();
        for (place, flag) in variants.0.iter_mut().zip(&self.flags) {
            let plan = flag.plans.get(entry);
            let variant =
                plan.map_or_else(|| flag.flag.default_variant(), |plan| plan.variant(key));
            *place = u8::try_from(variant).unwrap_or_default();
        }
        variants
    }

    /// True if they are sent as `baggage` as well.
    pub fn in_baggage(&self) -> bool {
        self.in_baggage
    }

    /// Names and values of the fields for these variants.
    pub fn fields(&self, variants: FlagVariants) -> impl Iterator<Item = (&str, &str)> {
        self.texts(variants)
            .map(|(flag, text)| (&*flag.field, &*text.field))
    }

    /// Members of `baggage` for these variants.
    pub fn members(&self, variants: FlagVariants) -> impl Iterator<Item = &str> {
        self.texts(variants).map(|(_, text)| &*text.member)
    }

    /// Counters of these variants, of the flags that ask for key figures.
    pub fn cells(&self, variants: FlagVariants) -> impl Iterator<Item = &Arc<OutcomeTable>> {
        self.counted(variants).map(|(_, cells)| cells)
    }

    /// Marks of these variants for stamps, of the flags that ask for key figures.
    pub fn marks(&self, variants: FlagVariants) -> impl Iterator<Item = VariantMark> {
        self.counted(variants).map(|(mark, _)| *mark)
    }

    fn counted(
        &self,
        variants: FlagVariants,
    ) -> impl Iterator<Item = &(VariantMark, Arc<OutcomeTable>)> {
        let flags = self.flags.iter().zip(variants.0);
        flags.filter_map(|(flag, variant)| flag.cells.get(usize::from(variant)))
    }

    fn texts(&self, variants: FlagVariants) -> impl Iterator<Item = (&RouteFlag, &VariantText)> {
        let flags = self.flags.iter().zip(variants.0);
        flags.filter_map(|(flag, variant)| Some((flag, flag.texts.get(usize::from(variant))?)))
    }
}

/// All that rules can compare on a route: its name, and the release that serves.
fn attributes(route: &RouteSpec, entry: &SplitEntry) -> Map<String, Value> {
    let release = entry.release();
    let mut attributes = Map::new();
    attributes.insert(RELEASE_ATTRIBUTE.to_owned(), release.name().as_str().into());
    attributes.insert("route".to_owned(), route.name.as_str().into());
    if !release.version().is_empty() {
        attributes.insert("version".to_owned(), release.version().as_str().into());
    }
    attributes
}

fn texts(flag: &Flag, in_baggage: bool) -> Box<[VariantText]> {
    let text = |variant: &Variant| {
        let field = field_text(variant.value());
        let member = if in_baggage {
            member(flag.name().as_str(), &field)
        } else {
            String::new()
        };
        VariantText {
            field: field.into(),
            member: member.into(),
        }
    };
    flag.variants().iter().map(text).collect()
}

fn cells(flag: &Flag, fleet: &Fleet) -> Box<[(VariantMark, Arc<OutcomeTable>)]> {
    let variants = flag.variants().iter().filter(|_| flag.spec().kpis);
    let names = variants.map(|variant| (flag.name(), variant.name()));
    names
        .map(|(flag, variant)| {
            let mark = VariantMark::of(flag, variant);
            (mark, fleet.flag_cells(flag, variant))
        })
        .collect()
}

/// Member of `baggage` for the text of a flag's field.
pub(super) fn member(flag: &str, field: &str) -> String {
    format!("{FLAG_MEMBER}{flag}={}", baggage_text(field))
}

#[cfg(test)]
mod tests;
