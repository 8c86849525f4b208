//! Key figures of routes and releases.

use std::fmt::Write as _;

use super::{
    client::{ApiRequest, Client},
    exit::Failure,
    output::Out,
    text::{Columns, clean, percent},
};
use crate::{
    api::{KpiQuantiles, KpiReport, KpiRole, Kpis, ReleaseKpis},
    model::{HumanDuration, RouteName},
};

/// Age in seconds above which figures are not live.
const STALE: f64 = 3.0;
/// Titles of the figures.
pub(super) const TITLES: [&str; 9] = [
    "REQ/S",
    "REQUESTS",
    "FAILED",
    "4XX",
    "BROKEN OFF",
    "P50",
    "P95",
    "P99",
    "FIRST BYTE P95",
];

/// Shows key figures, of all routes by default.
pub(super) async fn kpis(
    client: &Client,
    route: Option<&RouteName>,
    window: HumanDuration,
) -> Result<Out, Failure> {
    let window = window.to_string().replace(' ', "");
    let mut ask = ApiRequest::get("/v1/kpis").argument("window", &window);
    if let Some(route) = route {
        ask = ask.argument("route", route.as_str());
    }
    let answer = client.send(ask).await?;
    let report: KpiReport = answer.read()?;
    Ok(Out {
        text: shown(&report),
        json: answer.body,
    })
}

/// The table, and a sentence for each comparison.
pub(super) fn shown(report: &KpiReport) -> String {
    let mut text = format!(
        "revision {}, the last {} s up to {}\n",
        report.revision, report.window_seconds, report.at
    );
    text.push_str(&notice(report.age_seconds));
    let titles = ["ROUTE", "RELEASE", "ROLE", "SHARE"];
    let mut rows = Columns::titled(&[&titles[..], &TITLES[..], &["IN FLIGHT"]].concat());
    for route in &report.routes {
        let name = route.route.to_string();
        rows.row(row([name.clone(), "all".to_owned()], ["", ""], &route.kpis));
        for release in &route.releases {
            let role = release.role.as_str();
            let label = format!("{} ({})", release.release, clean(release.version.as_str()));
            let shares = shares(release);
            rows.row(row([name.clone(), label], [role, &shares], &release.kpis));
        }
    }
    text.push_str(&rows.shown());
    for route in &report.routes {
        let releases = route.releases.iter();
        let compared = releases.filter(|release| release.role == KpiRole::Canary);
        for comparison in compared.filter_map(|release| release.comparison.as_ref()) {
            let _ = writeln!(text, "{}: {}", route.route, clean(&comparison.words));
        }
        let rollout = route.rollout.as_ref();
        if let Some(verdict) = rollout.and_then(|rollout| rollout.verdict.as_ref()) {
            let _ = writeln!(text, "{}: rollout: {}", route.route, clean(verdict));
        }
    }
    if report.left_out > 0 {
        let more = report.left_out;
        let _ = writeln!(text, "{more} more routes and releases are not counted");
    }
    text
}

/// A line about figures that are not live.
pub(super) fn notice(age_seconds: f64) -> String {
    if age_seconds > STALE {
        format!("not live: read {age_seconds:.0} s ago\n")
    } else {
        String::new()
    }
}

/// The share of the requests that it had, of the share that it is given.
fn shares(release: &ReleaseKpis) -> String {
    let configured = percent(release.configured_share);
    let live = release
        .live_share
        .map_or("-".to_owned(), |share| format!("{:.1}%", share * 100.0));
    format!("{live} of {configured}")
}

fn row(names: [String; 2], about: [&str; 2], kpis: &Kpis) -> Vec<String> {
    let about = about.map(ToOwned::to_owned);
    let mut cells: Vec<String> = names.into_iter().chain(about).collect();
    cells.extend(figures(kpis));
    let in_flight = kpis.in_flight.map(|count| count.to_string());
    cells.push(in_flight.unwrap_or_default());
    cells
}

/// The cells of the figures, in the order of [`TITLES`].
pub(super) fn figures(kpis: &Kpis) -> [String; 9] {
    let share =
        |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.2}%", share * 100.0));
    let quantile = |of: Option<KpiQuantiles>, value: fn(KpiQuantiles) -> f64| {
        of.map_or("-".to_owned(), |of| seconds(value(of)))
    };
    [
        format!("{:.1}", kpis.requests_per_second),
        kpis.requests.to_string(),
        share(kpis.failure_share),
        share(kpis.client_error_share),
        share(kpis.broken_stream_share),
        quantile(kpis.duration, |of| of.p50_seconds),
        quantile(kpis.duration, |of| of.p95_seconds),
        quantile(kpis.duration, |of| of.p99_seconds),
        quantile(kpis.first_byte, |of| of.p95_seconds),
    ]
}

/// `0.8 ms`, `850 ms`, `1.2 s`.
fn seconds(seconds: f64) -> String {
    if seconds < 0.01 {
        format!("{:.1} ms", seconds * 1_000.0)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1_000.0)
    } else {
        format!("{seconds:.1} s")
    }
}
