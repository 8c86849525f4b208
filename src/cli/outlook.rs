//! The outlook of a dry run as text.

use std::fmt::Write as _;

use super::text::clean;
use crate::api::DryRun;

/// Adds its sentences, a line for each.
pub(super) fn push(text: &mut String, dry_run: &DryRun) {
    for word in &dry_run.words {
        let _ = writeln!(text, "  {}", clean(word));
    }
    for crowded in &dry_run.crowded {
        let _ = writeln!(text, "  {crowded}");
    }
}
