//! Effect of a revision: key figures before it and after it, side by side.

use std::fmt::Write as _;

use super::{
    client::{ApiRequest, Client},
    exit::Failure,
    kpis::{TITLES, figures},
    output::Out,
    text::{Columns, clean, percent},
};
use crate::{
    api::{EffectPeriod, EffectState, Kpis, RevisionEffect, RouteEffect, Status},
    model::Revision,
};

/// Shows the effect of a revision, the live one by default.
pub(super) async fn effect(client: &Client, revision: Option<Revision>) -> Result<Out, Failure> {
    let revision = match revision {
        Some(revision) => revision,
        None => live(client).await?,
    };
    let path = format!("/v1/revisions/{revision}/effect");
    let answer = client.send(ApiRequest::get(path)).await?;
    let effect: RevisionEffect = answer.read()?;
    Ok(Out {
        text: shown(&effect),
        json: answer.body,
    })
}

async fn live(client: &Client) -> Result<Revision, Failure> {
    let ask = ApiRequest::get("/v1/status").argument("brief", true);
    let status: Status = client.send(ask).await?.read()?;
    Ok(status.revision)
}

fn shown(effect: &RevisionEffect) -> String {
    let mut text = format!(
        "revision {} ({} by {}) at {}: {}\n",
        effect.revision,
        clean(&effect.cause),
        clean(&effect.author),
        effect.at,
        clean(&effect.words)
    );
    if effect.state == EffectState::Measuring {
        text.push_str("still measuring: the time after it is not over\n");
    }
    if !effect.routes.is_empty() {
        text.push_str(&table(&effect.routes));
    }
    for route in &effect.routes {
        for (name, period) in [("before", &route.before), ("after", &route.after)] {
            text.push_str(&bounded(route, name, period));
        }
    }
    if effect.more_routes > 0 {
        let _ = writeln!(text, "{} more routes are not shown", effect.more_routes);
    }
    if let Some(verification) = &effect.verification {
        let _ = writeln!(text, "verification: {}", clean(&verification.words));
    }
    text
}

fn table(routes: &[RouteEffect]) -> String {
    let titles = ["ROUTE", "RELEASE", "TIME", "SHARE"];
    let mut rows = Columns::titled(&[&titles[..], &TITLES[..]].concat());
    let mut row = |names: [&str; 2], time: String, share: String, kpis: &Kpis| {
        let mut cells: Vec<String> = names.map(ToOwned::to_owned).to_vec();
        cells.extend([time, share]);
        cells.extend(figures(kpis));
        rows.row(cells);
    };
    for route in routes {
        let name = route.route.as_str();
        for (time, period) in [("before", &route.before), ("after", &route.after)] {
            let time = format!("{time}, {} s", period.seconds);
            row([name, "all"], time, String::new(), &period.kpis);
        }
        for release in &route.releases {
            let version = clean(release.version.as_str());
            let label = format!("{} ({version})", release.release);
            for (time, share, kpis) in [
                ("before", release.share_before, &release.before),
                ("after", release.share_after, &release.after),
            ] {
                row([name, &label], time.to_owned(), percent(share), kpis);
            }
        }
    }
    rows.shown()
}

/// The revision that a time ends at.
fn bounded(route: &RouteEffect, time: &str, period: &EffectPeriod) -> String {
    period.bounded_by.map_or_else(String::new, |revision| {
        format!(
            "{}: the time {time} {} at revision {revision}\n",
            route.route,
            if time == "before" { "begins" } else { "ends" }
        )
    })
}
