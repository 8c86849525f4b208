//! The command line: each verb a thin client of the admin API.
//!
//! What is printed is for people unless `--json` asks for the answer as it came. How a command ends is in its exit
//! status, which `--help` lists. Nothing here decides anything about traffic.

mod args;
mod change;
mod client;
mod exit;
mod look;
mod serve;
mod show;
mod text;

use std::{io::Write, path::Path, process::ExitCode};

use clap::Parser;

use self::{
    args::{AccessArgs, Cli, Verb},
    change::Back,
    client::Client,
    exit::{Exit, Failure},
};

/// What a verb says: as text, and as JSON.
struct Out {
    text: String,
    json: Vec<u8>,
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
            say(&if json {
                out.json
            } else {
                out.text.into_bytes()
            });
            ExitCode::SUCCESS
        }
        Err(failure) => {
            if let Some(body) = failure.json.as_ref().filter(|_| json) {
                say(body);
            }
            let _ = writeln!(std::io::stderr(), "error: {}", failure.message);
            failure.exit.into()
        }
    }
}

/// Writes to standard output. Who closes it early wants no more, and that is no mistake.
fn say(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let end: &[u8] = if bytes.ends_with(b"\n") { b"" } else { b"\n" };
    let _ = out
        .write_all(bytes)
        .and_then(|()| out.write_all(end))
        .and_then(|()| out.flush());
}

fn dispatch(cli: Cli) -> Result<Out, Failure> {
    let Cli { access, verb } = cli;
    if let Verb::Serve { config, wins } = verb {
        return serve::serve(config, wins);
    }
    let token = token(&access)?;
    let client = Client::new(access.admin, token.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, format!("no runtime: {error}")))?;
    runtime.block_on(ask(&client, verb))
}

async fn ask(client: &Client, verb: Verb) -> Result<Out, Failure> {
    match verb {
        Verb::Abort { route, change } => change::abort(client, &route, change).await,
        Verb::Apply {
            file,
            wins,
            message,
        } => change::apply(client, &file, wins, message).await,
        Verb::Check { file } => check(&file),
        Verb::Diff { from, to } => look::diff(client, from, to).await,
        Verb::History { limit, before } => look::history(client, limit, before).await,
        Verb::Promote { route, to, change } => change::promote(client, &route, to, change).await,
        Verb::Releases => look::list_releases(client).await,
        Verb::Rollback {
            to,
            step,
            route,
            force,
            change,
        } => {
            let back = Back {
                to,
                step,
                route,
                force,
            };
            change::rollback(client, back, change).await
        }
        Verb::Split {
            route,
            weights,
            patch,
            change,
        } => change::split(client, &route, &weights, patch, change).await,
        // It needs no admin API: it is one.
        Verb::Serve { config, wins } => serve::serve(config, wins),
        Verb::Status => look::status(client).await,
        Verb::Switch { route, to, change } => change::switch(client, &route, to, change).await,
    }
}

fn check(file: &Path) -> Result<Out, Failure> {
    let config = change::configuration(file)?;
    let json = serde_json::to_vec(&config).expect("a configuration has string keys");
    let text = config.normal_form();
    Ok(Out { text, json })
}

/// The bearer token, from its file or from the environment.
fn token(access: &AccessArgs) -> Result<Option<String>, Failure> {
    let Some(file) = &access.token_file else {
        let token = std::env::var("SWITCHBACK_TOKEN").ok();
        return Ok(token
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty()));
    };
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!(
            "the token file `{}` cannot be read: {error}",
            file.display()
        );
        Failure::new(Exit::NoInput, message)
    })?;
    Ok(Some(text.trim().to_owned()))
}
