//! Texts for the help of changes, beside that of their options.

/// Of `abort`.
pub(super) const ABORT_HELP: &str = "It ends a trial. If the canary was promoted already, use `switchback rollback`; while a rollout runs, `switchback rollout abort`.\nWith --over it goes in up to ten parts; the same without it gives the rest at once.\n\nExamples:\n  switchback abort chat -m 'errors in green'\n  switchback abort chat --over 30s";

/// Of `promote`.
pub(super) const PROMOTE_HELP: &str =
    "Examples:\n  switchback promote chat\n  switchback promote chat --to green";

/// Of `rollback`.
pub(super) const ROLLBACK_HELP: &str = "Two rollbacks go two revisions back: it is a stack, not a toggle. A rollback is live before it is durable and does not wait for the disk.\nWith --over the weights go back in up to ten parts, and the rest with the last; the same without it gives back the rest at once.\nWith --route only the previous split of one route is restored. The revisions in between leave the undo stack, so the next rollback of everything also undoes their changes to other routes; --dry-run lists those revisions.\nWith --verify the exit status says what became of users: 0 recovered, 80 not recovered, 81 worse, 82 not enough data.\n\nExamples:\n  switchback rollback\n  switchback rollback --to 41 -m 'back to Friday'\n  switchback rollback --route chat\n  switchback rollback --cut -m 'wrong answers'\n  switchback rollback --over 30s\n  switchback rollback --to 41 --over 30s\n  switchback rollback --wait-fleet\n  switchback rollback --verify\n  switchback rollback --dry-run";

/// Of `split`.
pub(super) const SPLIT_HELP: &str = "The numbers are percents, with up to four decimals. Releases that are not named share the rest as before; a named one that is not in the split joins it.\nWith --patch and --replace the numbers are weights instead: relative, 0 to 1000000. --patch changes those that are named; --replace sets the whole split, and a release that is not named leaves it.\n\nExamples:\n  switchback split chat green=5\n  switchback split chat green=5 --wait 30s -m 'canary of 2.0.0'\n  switchback split chat blue=50 green=50 --dry-run\n  switchback split chat green=10 --patch\n  switchback split chat blue=3 green=1 --replace\n  switchback split chat green=1 --replace --drop";
