//! The arguments of the command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use super::{
    access::AccessArgs,
    backup::{BACKUP_HELP, BackupArgs},
    change_help::{ABORT_HELP, PROMOTE_HELP, ROLLBACK_HELP, SPLIT_HELP},
    changes::ManyArgs,
    config_file::ConfigFile,
    drill::DrillArgs,
    endpoints::{ENDPOINT_HELP, EndpointVerb},
    exit::EXITS,
    feedback::FeedbackVerb,
    flags::{FLAG_HELP, FlagVerb},
    fleet::{FLEET_HELP, FleetVerb},
    maintenance::{MAINTENANCE_HELP, MaintenanceArgs},
    mirrors::MirrorVerb,
    observe::ObserveCommand,
    options::{ChangeArgs, CommonArgs, HealthArgs, over, period, revision, version},
    pause::{PAUSE_HELP, PauseArgs, RESUME_HELP, ResumeArgs},
    plan::PlanVerb,
    quarantine::{QUARANTINE_HELP, QuarantineVerb},
    resources::{ReleaseVerb, RouteVerb},
    restore::{RESTORE_HELP, RestoreArgs},
    rollouts::RolloutVerb,
    serve::ServeArgs,
    split_args::SplitArgs,
    table::Import,
};
use crate::{
    model::{HumanDuration, ReleaseName, Revision, RouteName, Version},
    server::{BESIDE, HISTORY_WRITER},
};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "switchback",
    version,
    about = "Flips traffic between versions of your agents, and flips it back, in one atomic step",
    after_help = EXITS,
    max_term_width = 110
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) access: AccessArgs,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    Here(LocalCommand),
    #[command(flatten)]
    There(RemoteCommand),
}

/// Subcommands that run in this process.
#[derive(Debug, Subcommand)]
pub(super) enum LocalCommand {
    /// Run the proxy until a signal ends it; SIGHUP reloads the file and the certificates, SIGUSR2 starts its program anew to
    /// take over
    #[command(
        after_help = "With --takeover it starts in the place of a running process with the same history: it gets its listening sockets, and no connection is lost. If it cannot start, the running one serves on (exit status 75, or that of the mistake).\n\nExamples:\n  switchback serve --config /etc/switchback.toml\n  switchback serve --config /etc/switchback.toml --takeover"
    )]
    Serve(ServeArgs),
    /// Run the proxy in front of two sample agents, and print commands to try
    #[command(
        after_help = "Blue and green run in the same process. The admin API listens on the address in --admin.\n\nExamples:\n  switchback demo\n  switchback demo --listen 127.0.0.1:8088 --admin 127.0.0.1:9988"
    )]
    Demo {
        /// Address of the proxy
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Folder of the history; without it a temporary one, removed when the demo ends
        #[arg(long, value_name = "FOLDER")]
        history: Option<PathBuf>,
    },
    /// Write the history's disk for the proxy that starts it
    #[command(name = HISTORY_WRITER, hide = true)]
    KeepHistory {
        /// The files beside it, and not the history itself
        #[arg(value_parser = [BESIDE])]
        part: Option<String>,
    },
    /// Run one sample agent, to try things out in containers
    #[command(
        after_help = "Example:\n  switchback agent --name blue --label 1.0.0 --address 127.0.0.1:9000"
    )]
    Agent {
        /// Release name in its responses
        #[arg(long)]
        name: ReleaseName,
        /// Version label in its responses
        #[arg(long, value_name = "VERSION")]
        label: String,
        /// Address to listen on
        #[arg(long)]
        address: SocketAddr,
    },
    /// Check a configuration file: print its normal form, or all its problems
    #[command(after_help = "Example:\n  switchback check switchback.toml")]
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  switchback completions bash > /etc/bash_completion.d/switchback\n  switchback completions zsh > \"${fpath[1]}/_switchback\"\n  switchback completions fish > ~/.config/fish/completions/switchback.fish"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Restore a backup: into the folder of a history, or a part of it as a change of a running proxy
    #[command(after_help = RESTORE_HELP)]
    Restore(Box<RestoreArgs>),
    /// Print the version of this program
    #[command(after_help = "Example:\n  switchback version")]
    Version,
}

/// Subcommands that call the admin API of a running switchback.
#[derive(Debug, Subcommand)]
pub(super) enum RemoteCommand {
    #[command(flatten)]
    Change(ChangeVerb),
    /// Take a backup of the running proxy, as one file
    #[command(after_help = BACKUP_HELP)]
    Backup(BackupArgs),
    /// Show the live table, its health, and what a rollback would do
    #[command(
        after_help = "Of a table with more than 50 routes only those that are split or not ready are shown; --json has everything.\n\n\
                      Examples:\n  switchback status\n  switchback status --route chat\n  switchback status --json | jq .rollback.ready"
    )]
    Status {
        /// Only this route, and the releases in its split
        #[arg(long, value_name = "ROUTE")]
        route: Option<RouteName>,
        /// Every route and every release, however many there are
        #[arg(long, conflicts_with = "route")]
        all: bool,
    },
    /// List the revisions that were live, latest first
    #[command(
        after_help = "Numbers only go up, and gaps are normal: a block of 4096 is reserved ahead, and a killed process loses the rest of it. `rollback --to` accepts any number that is listed here.\n\nExamples:\n  switchback history\n  switchback history --limit 5 --before 40"
    )]
    History {
        /// Maximum number
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Only revisions before this one
        #[arg(long, value_name = "REVISION", value_parser = revision)]
        before: Option<Revision>,
    },
    /// Show the work in flight on a release, or wait until there is none
    #[command(
        after_help = "With --wait the exit status is 0 once the release is drained: nothing is sent to its endpoints any more, so they can be stopped. It is 75 when the time is over, and 65 if a route still sends requests to it.\n\nExamples:\n  switchback drain blue\n  switchback drain blue --wait --timeout 15m\n  switchback drain blue --json | jq .classes"
    )]
    Drain {
        /// The release
        release: ReleaseName,
        /// A version that is not live any more
        #[arg(long, value_parser = version)]
        version: Option<Version>,
        /// Wait until the release is drained
        #[arg(long)]
        wait: bool,
        /// Longest wait
        #[arg(long, value_name = "TIME", default_value = "15m", requires = "wait")]
        timeout: HumanDuration,
    },
    /// Show the differences between two revisions
    #[command(after_help = "Example:\n  switchback diff 41 42")]
    Diff {
        /// The earlier side
        #[arg(value_parser = revision)]
        from: Revision,
        /// The later side
        #[arg(value_parser = revision)]
        to: Revision,
    },
    /// Show the effect of a change, a rollback or a rollout without making it
    #[command(
        subcommand,
        after_help = "It says which share of the sessions moves, whether the releases are ready and have room, what a rollback from there would do, and what else speaks against it. Unlike --dry-run it is shown even where the command would be refused.\n\nExamples:\n  switchback plan split chat green=25\n  switchback plan rollback\n  switchback plan rollout chat green --plan careful"
    )]
    Plan(PlanVerb),
    /// Make a token by which requests choose a release, before it gets traffic
    #[command(
        after_help = "The token goes into the field x-switchback-release. It is bound to the route and the release, holds on every listener and cannot be taken back. Such requests are in no statistics of the release.\n\nExamples:\n  switchback preview chat green --for 1h\n  switchback preview chat green --json | jq -r .token"
    )]
    Preview {
        /// The route
        route: RouteName,
        /// A release in its split, at weight 0 too
        release: ReleaseName,
        /// Time until the token is void, at most 30 days
        #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = period)]
        period: HumanDuration,
    },
    /// List releases with their endpoints and health
    #[command(after_help = "Example:\n  switchback releases")]
    Releases,
    /// Show a revision: time, author, message, changes
    #[command(
        after_help = "Examples:\n  switchback show 41\n  switchback show 41 --json | jq .table"
    )]
    Show {
        /// The revision
        #[arg(value_parser = revision)]
        revision: Revision,
    },
    /// Print the live table as TOML, for the configuration file
    #[command(
        after_help = "With --config the static settings of that file come first, so that the result is a whole configuration; its comments are not kept.\n\nExamples:\n  switchback export\n  switchback export --config switchback.toml > new.toml"
    )]
    Export {
        /// Configuration file whose static settings come first
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Reload the configuration file and the certificates, as SIGHUP does
    #[command(
        after_help = "The process reads the file that it was started with. A file with problems changes nothing.\n\nExample:\n  switchback reload"
    )]
    Reload,
    /// Show, set and remove releases
    #[command(
        subcommand,
        after_help = "Examples:\n  switchback release set green --version 2.0.0 --endpoint http://10.0.0.7:9000\n  switchback release show green\n  switchback release remove green"
    )]
    Release(ReleaseVerb),
    /// Add and remove endpoints of a release
    #[command(subcommand, after_help = ENDPOINT_HELP)]
    Endpoint(EndpointVerb),
    /// Rehearse the way back of a route
    #[command(
        after_help = "The mechanism publishes the live table once more and rolls that back: no client sees anything. `smoke` sends the synthetic requests of the route to the release that a rollback would bring back, `live` gives it a small share of the sessions and judges it, `full` gives it everything for a time.\n\nThe exit status is 0 if the drill has passed, 65 if it has failed, 75 if it has shown nothing.\n\nExamples:\n  switchback drill chat\n  switchback drill chat --level smoke\n  switchback drill chat --level live --share 2 --for 15m\n  switchback drill show chat"
    )]
    Drill(DrillArgs),
    /// Move a route to another release step by step, judged by the traffic itself
    #[command(
        subcommand,
        after_help = "Examples:\n  switchback rollout start chat green\n  switchback rollout show chat\n  switchback rollout abort chat"
    )]
    Rollout(RolloutVerb),
    /// Show, switch, roll out and roll back feature flags
    #[command(subcommand, after_help = FLAG_HELP)]
    Flag(Box<FlagVerb>),
    /// Show the proxies that share this table, and end disputes between them
    #[command(subcommand, after_help = FLEET_HELP)]
    Fleet(FleetVerb),
    /// Show releases that were taken back, and let them get requests again
    #[command(subcommand, after_help = QUARANTINE_HELP)]
    Quarantine(QuarantineVerb),
    /// Show what became of users after a rollback, or wait for the verdict
    #[command(
        after_help = "Without an id all verifications are listed, the latest first. With --wait the exit status is 0 if users have recovered, 80 if not, 81 if they are worse off, 82 if there was not enough data.\n\nExamples:\n  switchback verification\n  switchback verification 42\n  switchback verification 42 --wait"
    )]
    Verification {
        /// The revision of the rollback
        id: Option<String>,
        /// Wait until it has ended
        #[arg(long, requires = "id")]
        wait: bool,
    },
    #[command(flatten)]
    Observe(ObserveCommand),
    /// List and give users' feedback on answers
    #[command(
        subcommand,
        after_help = "Examples:\n  switchback feedback list\n  switchback feedback give sb1.v7m-EdpTnkUWN4… --thumb down"
    )]
    Feedback(FeedbackVerb),
    /// Show how the copies of a route's requests compare with their originals
    #[command(subcommand, after_help = "Example:\n  switchback mirror show chat")]
    Mirror(MirrorVerb),
    /// Show, set and remove routes
    #[command(
        subcommand,
        after_help = "Examples:\n  switchback route set chat --path-prefix /chat --split blue=100\n  switchback route show chat\n  switchback route remove chat"
    )]
    Route(RouteVerb),
}

/// Subcommands that change what is live.
#[derive(Debug, Subcommand)]
pub(super) enum ChangeVerb {
    /// Import the releases and routes of an edited configuration file
    #[command(
        after_help = "Changes in the file since its last import are applied, as one revision; live changes stay.\nEntries that changed on both sides are refused (exit status 75), unless --wins chooses a side.\n\nExamples:\n  switchback apply switchback.toml\n  switchback apply switchback.toml --dry-run\n  switchback apply switchback.toml --wins file -m 'as agreed'"
    )]
    Apply(Import),
    /// Make several changes in one revision, which one rollback undoes
    #[command(
        after_help = "Either all changes are made or none. Their order is: those in the file, splits, switches, promotions, aborts, flags.\nThe file has the body of `POST /v1/changes`, which can add and remove releases and flags as well.\n\nExamples:\n  switchback change --split chat:green=25 --switch tools=green -m 'release 2.0.0'\n  switchback change --split chat:green=5,blue=95 --abort tools --dry-run\n  switchback change --switch chat=green --flag new-planner=on\n  switchback change --file changes.json --wait 30s"
    )]
    Change(Box<ManyArgs>),
    /// Give releases of a route their percent of it; the others share the rest as before
    #[command(after_help = SPLIT_HELP)]
    Split {
        #[command(flatten)]
        split: SplitArgs,
        /// With --replace: leave out a release that gets requests now
        #[arg(long, requires = "replace")]
        drop: bool,
        #[command(flatten)]
        health: HealthArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Give all requests of a route to one release
    #[command(after_help = "Example:\n  switchback switch chat green -m 'release 2.0.0'")]
    Switch {
        /// The route
        route: RouteName,
        /// The release
        to: ReleaseName,
        #[command(flatten)]
        health: HealthArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Switch the maintenance of a route on or off
    #[command(after_help = MAINTENANCE_HELP)]
    Maintenance(MaintenanceArgs),
    /// Give all requests of a route to its canary
    #[command(after_help = PROMOTE_HELP)]
    Promote {
        /// The route
        route: RouteName,
        /// The release to promote, where the canary is ambiguous
        #[arg(long)]
        to: Option<ReleaseName>,
        #[command(flatten)]
        health: HealthArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Let further requests of a route wait, while its agents restart
    #[command(after_help = PAUSE_HELP)]
    Pause(Box<PauseArgs>),
    /// Serve the requests of a paused route
    #[command(after_help = RESUME_HELP)]
    Resume(ResumeArgs),
    /// Give all requests of a route to its stable release
    #[command(after_help = ABORT_HELP)]
    Abort {
        /// The route
        route: RouteName,
        /// Proceed although the stable release has no healthy endpoint
        #[arg(long)]
        force: bool,
        /// End at once what is in flight on releases that leave
        #[arg(long)]
        cut: bool,
        /// Give the requests back little by little in this time, 1s to 1h; without it at once
        #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = over)]
        over: Option<HumanDuration>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Restore what was live before
    #[command(after_help = ROLLBACK_HELP)]
    Rollback {
        /// The revision to restore
        #[arg(long, value_name = "REVISION", value_parser = revision, conflicts_with_all = ["step", "route"])]
        to: Option<Revision>,
        /// Undo one revision only, even of a group
        #[arg(long, conflicts_with = "route")]
        step: bool,
        /// Restore only the previous split of this route
        #[arg(long)]
        route: Option<RouteName>,
        /// Proceed although a release that gets a larger share has no healthy endpoint
        #[arg(long)]
        force: bool,
        /// End at once what is in flight on releases that leave
        #[arg(long)]
        cut: bool,
        /// Give the requests back little by little in this time, 1s to 1h; without it at once
        #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = over, conflicts_with_all = ["step", "route", "verify"])]
        over: Option<HumanDuration>,
        /// Wait for the verification: do users get again what they got before?
        #[arg(long, conflicts_with = "dry_run")]
        verify: bool,
        #[command(flatten)]
        change: CommonArgs,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_verb_has_an_example() {
        Cli::command().debug_assert();
        let command = Cli::command();
        assert_examples(&command, "  switchback");
    }

    fn assert_examples(command: &clap::Command, typed: &str) {
        let own = |verb: &&clap::Command| !verb.is_hide_set() && verb.get_name() != "help";
        for verb in command.get_subcommands().filter(own) {
            let help = verb
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let example = format!("{typed} {}", verb.get_name());
            assert!(help.contains(&example), "{example}");
            assert_examples(verb, &example);
        }
    }
}
