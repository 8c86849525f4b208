//! Several changes in one revision.

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use hyper::Method;

use super::{
    change::{based, each, percent},
    client::{ApiRequest, Client},
    exit::{Exit, Failure},
    json_file,
    options::{ChangeArgs, HealthArgs},
    output::Out,
    part::Part,
};
use crate::{
    api::{ChangeItem, ChangesRequest},
    model::{FlagName, FlagState, NameError, ReleaseName, RouteName},
};

/// Arguments of several changes.
#[derive(Debug, Args)]
pub(super) struct ManyArgs {
    /// Percents of some releases of a route; the others share the rest as before
    #[arg(long, value_name = "ROUTE:RELEASE=PERCENT,…")]
    split: Vec<RouteSplit>,
    /// A route and the release that gets all its requests
    #[arg(long, value_name = "ROUTE=RELEASE")]
    switch: Vec<RouteSwitch>,
    /// A route whose canary gets all its requests
    #[arg(long, value_name = "ROUTE")]
    promote: Vec<RouteName>,
    /// A route whose stable release gets all its requests
    #[arg(long, value_name = "ROUTE")]
    abort: Vec<RouteName>,
    /// A flag and its switch
    #[arg(long, value_name = "FLAG=on|off")]
    flag: Vec<FlagSwitch>,
    /// Changes in JSON, as the API takes them; `-` for the standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Leave out a release that gets requests now, where a split in the file does not name it
    #[arg(long, requires = "file")]
    drop: bool,
    #[command(flatten)]
    health: HealthArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

/// A route and percents of its releases.
#[derive(Debug, Clone)]
struct RouteSplit(RouteName, Vec<Part>);

/// A route and the release that it is switched to.
#[derive(Debug, Clone)]
struct RouteSwitch(RouteName, ReleaseName);

/// A flag, and what it is switched to.
#[derive(Debug, Clone)]
struct FlagSwitch(FlagName, FlagState);

impl FromStr for RouteSplit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (route, parts) = text.split_once(':').ok_or_else(|| {
            format!("`{text}` is not ROUTE:RELEASE=PERCENT, such as chat:green=25")
        })?;
        let route = route
            .parse()
            .map_err(|error: NameError| error.to_string())?;
        let parts: Result<_, _> = parts.split(',').map(str::parse).collect();
        Ok(Self(route, parts?))
    }
}

impl FromStr for RouteSwitch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (route, release) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not ROUTE=RELEASE, such as tools=green"))?;
        let name = |error: NameError| error.to_string();
        Ok(Self(
            route.parse().map_err(name)?,
            release.parse().map_err(name)?,
        ))
    }
}

impl FromStr for FlagSwitch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not FLAG=on or FLAG=off, such as new-planner=off");
        let (flag, state) = text.split_once('=').ok_or_else(wrong)?;
        let flag = flag.parse().map_err(|error: NameError| error.to_string())?;
        match state {
            "on" => Ok(Self(flag, FlagState::On)),
            "off" => Ok(Self(flag, FlagState::Off)),
            _ => Err(wrong()),
        }
    }
}

pub(super) async fn change(client: &Client, many: ManyArgs) -> Result<Out, Failure> {
    let (health, change) = (&many.health, &many.change);
    let request = request(&many)?;
    let ask = ApiRequest::of(Method::POST, "/v1/changes").json(&request);
    let ask = ask.health(health).group(&change.group);
    based(
        client,
        "/v1/status?brief=true".to_owned(),
        ask,
        &change.common,
    )
    .await
}

fn request(many: &ManyArgs) -> Result<ChangesRequest, Failure> {
    let mut request = match &many.file {
        Some(file) => json_file::read(file)?,
        None => ChangesRequest::default(),
    };
    for RouteSplit(route, parts) in &many.split {
        let mut item = of(route);
        item.split = Some(each(parts, percent)?);
        request.changes.push(item);
    }
    for RouteSwitch(route, to) in &many.switch {
        let mut item = of(route);
        item.switch = Some(to.clone());
        request.changes.push(item);
    }
    let promoted = many.promote.iter().map(|route| ChangeItem {
        promote: true,
        ..of(route)
    });
    request.changes.extend(promoted);
    let aborted = many.abort.iter().map(|route| ChangeItem {
        abort: true,
        ..of(route)
    });
    request.changes.extend(aborted);
    let switched = many.flag.iter().map(|FlagSwitch(flag, state)| ChangeItem {
        flag: Some(flag.clone()),
        state: Some(*state),
        ..ChangeItem::default()
    });
    request.changes.extend(switched);
    if request.changes.is_empty() {
        let text = "there is no change\nhint: such as `--split chat:green=25 --switch tools=green`";
        return Err(Failure::new(Exit::Usage, text));
    }
    request.drop |= many.drop;
    request.message = many.change.common.message.clone().or(request.message);
    Ok(request)
}

fn of(route: &RouteName) -> ChangeItem {
    ChangeItem {
        route: Some(route.clone()),
        ..ChangeItem::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_names_its_target() {
        let RouteSplit(route, parts) = "chat:green=25,blue=75".parse().unwrap();
        assert_eq!((route.as_str(), parts.len()), ("chat", 2));
        let RouteSwitch(route, to) = "tools=green".parse().unwrap();
        assert_eq!((route.as_str(), to.as_str()), ("tools", "green"));
        for wrong in ["chat", "chat:green", "chat:", ":green=5", "green=5"] {
            assert!(wrong.parse::<RouteSplit>().is_err(), "{wrong}");
        }
        for wrong in ["tools", "=green", "tools="] {
            assert!(wrong.parse::<RouteSwitch>().is_err(), "{wrong}");
        }
        let FlagSwitch(flag, state) = "new-planner=off".parse().unwrap();
        assert_eq!((flag.as_str(), state), ("new-planner", FlagState::Off));
        for wrong in ["new-planner", "=off", "new-planner=5"] {
            assert!(wrong.parse::<FlagSwitch>().is_err(), "{wrong}");
        }
    }
}
