//! Checks of hooks, and of the gates that plans name.

use std::{path::Path, time::Duration};

use super::{Config, HookFormat, HookSpec};
use crate::model::{HookName, HumanDuration, PlanSpec, Problem};

/// Largest number of hooks.
const MOST: usize = 64;
/// Largest number of secrets of a hook: the current one, and those before it.
const MOST_SECRETS: usize = 8;
/// Largest number of words of a command.
const MOST_WORDS: usize = 64;
/// Longest command in bytes.
const LONGEST_COMMAND: usize = 8 * 1024;
/// Largest number of retries.
const MOST_RETRIES: u32 = 100;

/// Checks what can be said without reading a secret, and the gates of plans.
pub(super) fn check(config: &Config, found: &mut Vec<Problem>) {
    let count = config.hooks.len();
    if count > MOST {
        let message = format!("{count} hooks; the maximum is {MOST}");
        found.push(Problem::new("hooks", message));
    }
    for (name, hook) in &config.hooks {
        let at = format!("hooks.{name}");
        target(hook, &at, found);
        secrets(hook, &at, found);
        times(hook, &at, found);
    }
    for (name, release) in &config.table().releases {
        let declared = release.spec.rollback.as_ref();
        let check = declared.and_then(|declared| declared.check.as_ref());
        let format = |hook: &HookName| config.hooks.get(hook).map(|hook| hook.format);
        let path = format!("releases.{name}.rollback.check");
        found.extend(check.and_then(|check| hook_problem(path, check, format(check))));
    }
    for (name, plan) in &config.plans {
        found.extend(gate_problems(plan, &format!("plans.{name}"), |gate| {
            config.hooks.get(gate).map(|hook| hook.format)
        }));
    }
}

/// Problems of the gates of a plan, with their paths under this one. `format` is that of a hook, if there is one.
pub fn gate_problems(
    plan: &PlanSpec,
    path: &str,
    format: impl Fn(&HookName) -> Option<HookFormat>,
) -> Vec<Problem> {
    let problem =
        |(at, gate): (String, &HookName)| hook_problem(format!("{path}.{at}"), gate, format(gate));
    plan.gates().filter_map(problem).collect()
}

/// Problem of a hook that has to decide.
fn hook_problem(path: String, hook: &HookName, format: Option<HookFormat>) -> Option<Problem> {
    let problem = |message: String| Problem::new(path, message);
    match format {
        None => Some(
            problem(format!("there is no hook `{hook}`"))
                .hint(format!("add `[hooks.{hook}]` with a `url` or a `command`")),
        ),
        Some(HookFormat::Slack) => Some(
            problem(format!("`{hook}` sends to Slack, which decides nothing"))
                .hint("name a hook with another `format`"),
        ),
        Some(HookFormat::Cloudevents | HookFormat::Json) => None,
    }
}

fn target(hook: &HookSpec, at: &str, found: &mut Vec<Problem>) {
    if hook.url.is_some() != hook.command.is_empty() {
        let problem = Problem::new(at, "a hook needs exactly one target");
        found.push(problem.hint("give either `url` or `command`"));
        return;
    }
    let Some(program) = hook.command.first() else {
        return;
    };
    let path = format!("{at}.command");
    let length: usize = hook.command.iter().map(|word| word.len() + 1).sum();
    if !Path::new(program).is_absolute() {
        let message = format!("`{program}` is not an absolute path");
        let problem = Problem::new(&path, message);
        found.push(problem.hint("write it as `command = [\"/usr/local/bin/check\", \"--fast\"]`"));
    } else if hook.command.len() > MOST_WORDS || length > LONGEST_COMMAND {
        let message = format!("longer than {MOST_WORDS} words or {LONGEST_COMMAND} bytes");
        found.push(Problem::new(&path, message).hint("put it into a script"));
    } else if hook.command.iter().any(|word| word.contains('\0')) {
        found.push(Problem::new(
            &path,
            "a word of a command cannot hold a zero byte",
        ));
    }
}

fn secrets(hook: &HookSpec, at: &str, found: &mut Vec<Problem>) {
    for (key, is_set) in [
        ("secrets", !hook.secrets.is_empty()),
        ("ca", hook.ca.is_some()),
    ] {
        if is_set && hook.url.is_none() {
            let problem = Problem::new(format!("{at}.{key}"), "it has no effect on a command");
            found.push(problem.hint("remove it"));
        }
    }
    let count = hook.secrets.len();
    if count > MOST_SECRETS {
        let message = format!("{count} secrets; the maximum is {MOST_SECRETS}");
        found.push(Problem::new(format!("{at}.secrets"), message).hint("remove the oldest ones"));
    }
    for (place, secret) in hook.secrets.iter().enumerate() {
        if secret.file.is_some() == secret.env.is_some() {
            let problem = Problem::new(
                format!("{at}.secrets.{place}"),
                "a secret needs exactly one source",
            );
            found.push(problem.hint("give either `file` or `env`"));
        }
    }
}

fn times(hook: &HookSpec, at: &str, found: &mut Vec<Problem>) {
    let hour = HumanDuration::seconds(3600);
    let day = HumanDuration::seconds(24 * 3600);
    let month = HumanDuration::seconds(30 * 24 * 3600);
    let least = HumanDuration(Duration::from_millis(1));
    for (key, time, least, most) in [
        ("timeout", hook.timeout, least, hour),
        ("interval", hook.interval, HumanDuration::seconds(1), day),
        (
            "give_up_after",
            hook.give_up_after,
            HumanDuration::seconds(0),
            month,
        ),
    ] {
        if time < least || time > most {
            let message = format!("{time} is not between {least} and {most}");
            found.push(Problem::new(format!("{at}.{key}"), message));
        }
    }
    if hook.retries > MOST_RETRIES {
        let message = format!("{} is more than {MOST_RETRIES}", hook.retries);
        found.push(Problem::new(format!("{at}.retries"), message));
    }
}
