//! The command line: subcommands that run here, and subcommands that are thin clients of the admin API.
//!
//! Output is for people unless `--json` asks for the raw response. The exit status gives the result; `--help` lists
//! them.
//! This module makes no decision about traffic.

mod access;
mod admin_url;
mod api_request;
mod args;
mod backup;
mod calibration;
mod certificate_words;
mod change;
mod change_help;
mod changes;
mod client;
mod config_file;
mod connector;
mod drain;
mod drill;
mod effect;
mod endpoints;
mod event_stream;
mod exit;
mod feedback;
mod flag_kpis;
mod flag_parts;
mod flags;
mod fleet;
mod fleet_words;
mod json_file;
mod junit;
mod kpis;
mod maintenance;
mod mirrors;
mod observe;
mod options;
mod outlook;
mod output;
mod part;
mod passphrase;
mod pause;
mod plan;
mod preview;
mod private_file;
mod quarantine;
mod queries;
mod render;
mod resources;
mod restore;
mod restore_part;
mod rollout_watch;
mod rollout_words;
mod rollouts;
mod runtime;
mod serve;
mod split_args;
mod status;
mod status_notices;
mod table;
mod text;
mod toml_output;
mod verifications;
mod watch;

use std::{io::Write, path::Path, process::ExitCode};

use clap::{CommandFactory as _, Parser};
use clap_complete::Shell;

use self::{
    access::AccessArgs,
    args::{ChangeVerb, Cli, LocalCommand, RemoteCommand, Verb},
    change::RollbackArgs,
    client::Client,
    drain::DrainArgs,
    exit::{Exit, Failure},
    options::CommonArgs,
    output::{Out, print},
    runtime::runtime,
};

/// The command line with all its verbs and options, for manual pages.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let wrong = error.use_stderr();
            return if wrong {
                Exit::Usage.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let json = cli.access.json;
    match dispatch(cli) {
        Ok(out) => {
            print(&if json {
                out.json
            } else {
                out.text.into_bytes()
            });
            ExitCode::SUCCESS
        }
        Err(failure) => {
            if let Some(body) = failure.json.as_ref().filter(|_| json) {
                print(body);
            }
            let _ = writeln!(std::io::stderr(), "error: {}", failure.message);
            failure.exit.into()
        }
    }
}

fn dispatch(cli: Cli) -> Result<Out, Failure> {
    let Cli { access, verb } = cli;
    match verb {
        Verb::Here(LocalCommand::Agent {
            name,
            label,
            address,
        }) => serve::agent(&name, &label, address),
        Verb::Here(LocalCommand::Check { config }) => check(&config.path()?),
        Verb::Here(LocalCommand::Completions { shell }) => Ok(completions(shell)),
        Verb::Here(LocalCommand::Demo { listen, history }) => {
            serve::demo(listen, &access.admin()?, history)
        }
        Verb::Here(LocalCommand::KeepHistory { part }) => serve::keep(part.is_some()),
        Verb::Here(LocalCommand::Restore(args)) => restore::restore(&access, *args),
        Verb::Here(LocalCommand::Serve(args)) => serve::serve(args),
        Verb::Here(LocalCommand::Version) => Ok(version()),
        Verb::There(verb) => remote(&access, verb),
    }
}

fn remote(access: &AccessArgs, verb: RemoteCommand) -> Result<Out, Failure> {
    let client = access.client()?;
    runtime()?.block_on(ask(&client, verb, access.json))
}

async fn ask(client: &Client, verb: RemoteCommand, json: bool) -> Result<Out, Failure> {
    match verb {
        RemoteCommand::Backup(args) => backup::backup(client, args).await,
        RemoteCommand::Change(verb) => ask_change(client, verb, json).await,
        RemoteCommand::Diff { from, to } => queries::diff(client, from, to).await,
        RemoteCommand::Endpoint(verb) => endpoints::endpoint(client, verb).await,
        RemoteCommand::Drain {
            release,
            version,
            wait,
            timeout,
        } => {
            let drain = DrainArgs {
                release,
                version,
                wait,
                timeout,
            };
            drain::drain(client, drain).await
        }
        RemoteCommand::Export { config } => table::export(client, config.as_deref()).await,
        RemoteCommand::Feedback(verb) => feedback::feedback(client, verb).await,
        RemoteCommand::Fleet(verb) => fleet::fleet(client, verb).await,
        RemoteCommand::Flag(verb) => flags::flag(client, *verb).await,
        RemoteCommand::History { limit, before } => queries::history(client, limit, before).await,
        RemoteCommand::Mirror(verb) => mirrors::mirror(client, verb).await,
        RemoteCommand::Observe(verb) => observe::observe(client, verb, json).await,
        RemoteCommand::Plan(verb) => plan::plan(client, verb).await,
        RemoteCommand::Preview {
            route,
            release,
            period,
        } => preview::preview(client, &route, release, period).await,
        RemoteCommand::Release(verb) => resources::release(client, verb).await,
        RemoteCommand::Releases => queries::list_releases(client).await,
        RemoteCommand::Reload => table::reload(client).await,
        RemoteCommand::Route(verb) => resources::route(client, verb).await,
        RemoteCommand::Quarantine(verb) => quarantine::quarantine(client, verb).await,
        RemoteCommand::Drill(args) => drill::drill(client, args).await,
        RemoteCommand::Rollout(verb) => rollouts::rollout(client, verb, json).await,
        RemoteCommand::Show { revision } => table::show_revision(client, revision).await,
        RemoteCommand::Verification { id, wait } => {
            verifications::verification(client, id.as_deref(), wait).await
        }
        RemoteCommand::Status { route, all } => status::status(client, route, all || json).await,
    }
}

async fn ask_change(client: &Client, verb: ChangeVerb, json: bool) -> Result<Out, Failure> {
    match verb {
        ChangeVerb::Abort {
            route,
            force,
            cut,
            over,
            change,
        } => change::abort(client, &route, (force, cut, over), change).await,
        ChangeVerb::Apply(import) => table::apply(client, import).await,
        ChangeVerb::Change(many) => changes::change(client, *many).await,
        ChangeVerb::Pause(args) => pause::pause(client, *args).await,
        ChangeVerb::Resume(args) => pause::resume(client, args).await,
        ChangeVerb::Maintenance(args) => maintenance::maintenance(client, args).await,
        ChangeVerb::Promote {
            route,
            to,
            health,
            change,
        } => change::promote(client, &route, to, &health, change).await,
        ChangeVerb::Rollback {
            to,
            step,
            route,
            force,
            cut,
            over,
            verify,
            change,
        } => {
            let back = RollbackArgs {
                to,
                step,
                route,
                force,
                cut,
                over,
            };
            roll_back(client, back, change, (verify, json)).await
        }
        ChangeVerb::Split {
            split,
            drop,
            health,
            change,
        } => {
            let (route, by) = (&split.route, split.by(drop));
            change::split(client, route, &split.parts, by, &health, change).await
        }
        ChangeVerb::Switch {
            route,
            to,
            health,
            change,
        } => change::switch(client, &route, to, &health, change).await,
    }
}

/// Rolls back, and waits on request for what it brings.
async fn roll_back(
    client: &Client,
    back: RollbackArgs,
    change: CommonArgs,
    (verify, json): (bool, bool),
) -> Result<Out, Failure> {
    let (done, receipt) = change::rollback(client, back, change).await?;
    match receipt.filter(|_| verify) {
        Some(receipt) => verifications::verified(client, &receipt, (done, json)).await,
        None => Ok(done),
    }
}

fn check(file: &Path) -> Result<Out, Failure> {
    let config = table::configuration_by(crate::server::load, file)?;
    for warning in config.warnings() {
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    let json = config.json().to_string().into_bytes();
    let text = config.normal_form();
    Ok(Out { text, json })
}

/// The completion script of this command line.
fn completions(shell: Shell) -> Out {
    let (whole, mut script) = (command(), Vec::new());
    let shown = whole.get_subcommands().filter(|verb| !verb.is_hide_set());
    let mut command = clap::Command::new("switchback")
        .args(whole.get_arguments().cloned())
        .subcommands(shown.cloned());
    clap_complete::generate(shell, &mut command, "switchback", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned();
    let json = serde_json::json!({ "shell": shell.to_string(), "script": text });
    Out {
        json: json.to_string().into_bytes(),
        text,
    }
}

fn version() -> Out {
    let version = env!("CARGO_PKG_VERSION");
    Out {
        text: format!("switchback {version}\n"),
        json: format!("{{\"version\":\"{version}\"}}\n").into_bytes(),
    }
}
