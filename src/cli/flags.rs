//! Subcommands for feature flags.

use std::{fmt::Write as _, path::PathBuf};

use clap::{Args, Subcommand};
use hyper::Method;

use super::{
    change::{based, done},
    client::{ApiRequest, Client},
    exit::{Exit, Failure},
    flag_kpis::flag_kpis,
    flag_parts::{Share, VariantValue, attribute, rolled_out},
    options::{ChangeArgs, CommonArgs},
    output::Out,
    resources::{remove, show, write},
    table::unusable,
    text::{Columns, clean},
};
use crate::{
    api::{FlagEvaluation, FlagList, MessageRequest, RouteList},
    config,
    model::{
        Date, FlagName, FlagPatch, FlagSpec, FlagState, FlagType, FlagValue, HumanDuration,
        RouteSpec, VariantName,
    },
};

/// Help below the list of its subcommands.
pub(super) const FLAG_HELP: &str = "Examples:\n  switchback flag list\n  switchback flag off new-planner\n  switchback flag rollout new-planner on=5";

/// Subcommands for feature flags.
#[derive(Debug, Subcommand)]
pub(super) enum FlagVerb {
    /// List them with their switches
    #[command(after_help = "Example:\n  switchback flag list")]
    List,
    /// Print one as TOML
    #[command(after_help = "Example:\n  switchback flag show new-planner > new-planner.toml")]
    Show {
        /// The flag
        flag: FlagName,
    },
    /// Switch one on: its rules decide
    #[command(after_help = "Example:\n  switchback flag on new-planner")]
    On {
        /// The flag
        flag: FlagName,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Switch one off: everybody gets its default
    #[command(after_help = "Example:\n  switchback flag off new-planner -m 'errors in search'")]
    Off {
        /// The flag
        flag: FlagName,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Add one, or change the given values
    #[command(
        after_help = "Values that are not given stay as they are. A new flag is boolean with the variants `on` and `off` and the default `off`, unless values say otherwise. Rules are in a file.\n\nExamples:\n  switchback flag set new-planner --owner search --expires 2027-01-31\n  switchback flag set model --type string --variant small=haiku --variant large=opus --default small\n  switchback flag set new-planner --file new-planner.toml"
    )]
    Set(FlagSet),
    /// Give variants their percent of all who match no other rule; the default variant gets the rest
    #[command(
        after_help = "Who has a variant keeps it while its percent grows, and gets it back when it shrinks and grows again.\n\nExample:\n  switchback flag rollout new-planner on=5"
    )]
    Rollout {
        /// The flag
        flag: FlagName,
        /// A variant and its percent, such as on=5
        #[arg(required = true, value_name = "VARIANT=PERCENT")]
        shares: Vec<Share>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Restore what one was before its last change
    #[command(
        after_help = "Everything else stays as it is; `switchback rollback` restores the whole table.\n\nExample:\n  switchback flag rollback new-planner"
    )]
    Rollback {
        /// The flag
        flag: FlagName,
        #[command(flatten)]
        change: CommonArgs,
    },
    /// Show the variant that a context gets, with the reason
    #[command(
        after_help = "A value that is a number, `true`, `false` or a text in quotes is read as JSON; all else is text.\n\nExample:\n  switchback flag evaluate new-planner --key user-7 --attr plan=pro"
    )]
    Evaluate {
        /// The flag
        flag: FlagName,
        /// Key of splits (`targetingKey`), such as the id of a user
        #[arg(long)]
        key: Option<String>,
        /// Attribute of the context; repeat for each
        #[arg(long = "attr", value_name = "NAME=VALUE", value_parser = attribute)]
        attributes: Vec<String>,
    },
    /// Show the key figures of its variants, each beside the default
    #[command(
        after_help = "They are kept for flags with `--kpis`, of the requests of routes that hand the flag to their endpoints.\n\nExample:\n  switchback flag kpis new-planner --window 5m"
    )]
    Kpis {
        /// The flag
        flag: FlagName,
        /// Time that is summed up, up to 48h
        #[arg(long, value_name = "TIME", default_value = "1m")]
        window: HumanDuration,
    },
    /// Remove one
    #[command(after_help = "Example:\n  switchback flag remove new-planner")]
    Remove {
        /// The flag
        flag: FlagName,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// Values to set on a flag.
#[derive(Debug, Args)]
pub(super) struct FlagSet {
    /// The flag
    flag: FlagName,
    /// TOML file that holds the whole flag, as below `[flags.NAME]`, or a configuration that contains it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kind", "variant", "default", "description", "owner", "expires", "kpis"])]
    file: Option<PathBuf>,
    /// Type of the values: boolean, string, number or object
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    kind: Option<FlagType>,
    /// Variant and its value, in JSON or as text; repeat for each; replaces all of them
    #[arg(long, value_name = "NAME=VALUE")]
    variant: Vec<VariantValue>,
    /// Variant where no rule matches, and while the flag is off
    #[arg(long, value_name = "VARIANT")]
    default: Option<VariantName>,
    /// Purpose
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Person or team that answers for the flag
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Last day on which the flag is expected to exist, such as 2027-01-31
    #[arg(long, value_name = "DATE")]
    expires: Option<Date>,
    /// Keep key figures by variant
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    kpis: Option<bool>,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn flag(client: &Client, verb: FlagVerb) -> Result<Out, Failure> {
    match verb {
        FlagVerb::List => list(client).await,
        FlagVerb::Show { flag } => show_flag(client, &flag).await,
        FlagVerb::On { flag, change } => switch(client, &flag, FlagState::On, &change).await,
        FlagVerb::Off { flag, change } => switch(client, &flag, FlagState::Off, &change).await,
        FlagVerb::Set(set) => set_flag(client, set).await,
        FlagVerb::Rollout {
            flag,
            shares,
            change,
        } => rollout(client, &flag, &shares, &change).await,
        FlagVerb::Rollback { flag, change } => {
            let ask = said(&flag, "rollback", change.message.clone());
            let back = based(client, path(&flag), ask, &change).await;
            back.map_err(hint_if_removed)
        }
        FlagVerb::Evaluate {
            flag,
            key,
            attributes,
        } => evaluate(client, &flag, key, &attributes).await,
        FlagVerb::Kpis { flag, window } => flag_kpis(client, &flag, window).await,
        FlagVerb::Remove { flag, change } => remove(client, path(&flag), false, &change).await,
    }
}

/// One flag, with the routes that hand it over as a comment.
async fn show_flag(client: &Client, flag: &FlagName) -> Result<Out, Failure> {
    let shown = show(client, path(flag)).await?;
    let answer = client.send(ApiRequest::get("/v1/routes")).await?;
    let list: RouteList = answer.read()?;
    let routes = list
        .routes
        .iter()
        .filter(|route| route.flags.contains(flag));
    let note = |route: &RouteSpec| format!("# handed to the endpoints of route {}\n", route.name);
    let notes: String = routes.map(note).collect();
    Ok(Out {
        text: notes + &shown.text,
        ..shown
    })
}

/// A flag that is gone has no state of its own to go back to.
fn hint_if_removed(mut failure: Failure) -> Failure {
    if failure.is_unknown() {
        let hint = "\nhint: a flag that was removed comes back with a rollback of the table, `switchback rollback`";
        failure.message.push_str(hint);
    }
    failure
}

async fn list(client: &Client) -> Result<Out, Failure> {
    let answer = client.send(ApiRequest::get("/v1/flags")).await?;
    let list: FlagList = answer.read()?;
    let mut rows = Columns::titled(&[
        "FLAG", "TYPE", "STATE", "DEFAULT", "RULES", "EXPIRES", "OWNER",
    ]);
    for (name, flag) in &list.flags {
        let expires = flag
            .expires
            .map_or_else(|| "-".to_owned(), |date| date.to_string());
        rows.row(vec![
            name.to_string(),
            flag.kind.as_str().to_owned(),
            flag.state.as_str().to_owned(),
            flag.default.to_string(),
            flag.rules.len().to_string(),
            expires,
            clean(flag.owner.as_deref().unwrap_or("-")),
        ]);
    }
    let text = if list.flags.is_empty() {
        "there is no flag yet\n".to_owned()
    } else {
        rows.shown()
    };
    Ok(Out {
        text,
        json: answer.body,
    })
}

async fn switch(
    client: &Client,
    flag: &FlagName,
    to: FlagState,
    change: &ChangeArgs,
) -> Result<Out, Failure> {
    let ask = said(flag, to.as_str(), change.common.message.clone()).group(&change.group);
    based(client, path(flag), ask, &change.common).await
}

fn said(flag: &FlagName, verb: &str, message: Option<String>) -> ApiRequest {
    let path = format!("{}/{verb}", path(flag));
    ApiRequest::of(Method::POST, path).json(&MessageRequest { message })
}

async fn set_flag(client: &Client, set: FlagSet) -> Result<Out, Failure> {
    let path = path(&set.flag);
    let live = client.find(ApiRequest::get(&path)).await?;
    let seen = live.as_ref().and_then(|answer| answer.revision);
    let mut spec: FlagSpec = match (&set.file, &live) {
        (Some(file), _) => {
            config::load_flag(file, &set.flag).map_err(|error| unusable(file, &error))?
        }
        (None, Some(live)) => live.read()?,
        (None, None) => new_flag()?,
    };
    if let Some(kind) = set.kind {
        spec.kind = kind;
    }
    if !set.variant.is_empty() {
        let kind = spec.kind;
        let variants = set.variant.into_iter();
        spec.variants = variants
            .map(|VariantValue(name, text)| (name, value_of(kind, &text)))
            .collect();
    }
    if let Some(default) = set.default {
        spec.default = default;
    }
    spec.description = set.description.or(spec.description);
    spec.owner = set.owner.or(spec.owner);
    spec.expires = set.expires.or(spec.expires);
    spec.kpis = set.kpis.unwrap_or(spec.kpis);
    done(client.send(write(path, &spec, seen, &set.change)).await?)
}

/// A boolean flag that gives `off` to all.
fn new_flag() -> Result<FlagSpec, Failure> {
    let spec = serde_json::json!({
        "type": "boolean", "variants": { "on": true, "off": false }, "default": "off",
    });
    serde_json::from_value(spec).map_err(|error| Failure::new(Exit::Internal, error.to_string()))
}

/// The value of a variant: text for a flag of texts, otherwise JSON where it is that.
fn value_of(kind: FlagType, text: &str) -> FlagValue {
    let json = (kind != FlagType::String).then(|| serde_json::from_str(text).ok());
    FlagValue(json.flatten().unwrap_or_else(|| text.into()))
}

async fn rollout(
    client: &Client,
    flag: &FlagName,
    shares: &[Share],
    change: &ChangeArgs,
) -> Result<Out, Failure> {
    let answer = client.send(ApiRequest::get(path(flag))).await?;
    let spec: FlagSpec = answer.read()?;
    let rules = rolled_out(&spec, shares).map_err(|error| Failure::new(Exit::Usage, error))?;
    let rules = serde_json::to_value(rules)
        .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let patch = FlagPatch([("rules".to_owned(), rules)].into_iter().collect());
    // The rules were read from this revision, so the change is based on it.
    let seen = change.common.based_on.or(answer.revision);
    let ask = ApiRequest::of(Method::PATCH, path(flag)).json(&patch);
    let mut out = done(client.send(ask.based_on(seen).options(change)).await?)?;
    if spec.state == FlagState::Off {
        let default = &spec.default;
        let _ = writeln!(
            out.text,
            "  the flag is off: everybody gets {default} until `switchback flag on {flag}`"
        );
    }
    Ok(out)
}

async fn evaluate(
    client: &Client,
    flag: &FlagName,
    key: Option<String>,
    attributes: &[String],
) -> Result<Out, Failure> {
    let mut ask = ApiRequest::get(format!("{}/evaluate", path(flag)));
    if let Some(key) = key {
        ask = ask.argument("key", key);
    }
    for attribute in attributes {
        ask = ask.argument("attr", attribute);
    }
    let answer = client.send(ask).await;
    let answer = answer.map_err(|failure| failure.in_flags(&[("`?key=`", "`--key`")]))?;
    let found: FlagEvaluation = answer.read()?;
    let why = match (found.rule, &found.unmet_prerequisite) {
        (Some(rule), _) => format!(", rules[{rule}]"),
        (None, Some(flag)) => format!(", since flag {flag} gives another variant"),
        (None, None) => String::new(),
    };
    let value = clean(&found.value.to_string());
    let reason = found.reason.as_str();
    Ok(Out {
        text: format!(
            "{} = {value}   {reason}{why}, revision {}\n",
            found.variant, found.revision
        ),
        json: answer.body,
    })
}

fn kind(text: &str) -> Result<FlagType, String> {
    serde_json::from_value(text.into())
        .map_err(|_| format!("`{text}` is not `boolean`, `string`, `number` or `object`"))
}

fn path(flag: &FlagName) -> String {
    format!("/v1/flags/{flag}")
}
