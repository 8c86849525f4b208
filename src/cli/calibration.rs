//! Rehearsals of the judge, as they are shown.

use std::fmt::Write as _;

use super::{
    client::{ApiRequest, Client},
    exit::Failure,
    output::Out,
    text::{Columns, clean},
};
use crate::{
    api::{CalibrationPeak, CalibrationReport},
    model::RouteName,
};

/// Shows the rehearsals, of all routes of `[calibrate]` by default.
pub(super) async fn calibration(
    client: &Client,
    route: Option<&RouteName>,
) -> Result<Out, Failure> {
    let mut ask = ApiRequest::get("/v1/calibration");
    if let Some(route) = route {
        ask = ask.argument("route", route.as_str());
    }
    let answer = client.send(ask).await?;
    let report: CalibrationReport = answer.read()?;
    Ok(Out {
        text: shown(&report),
        json: answer.body,
    })
}

fn shown(report: &CalibrationReport) -> String {
    if report.routes.is_empty() {
        return "no route is calibrated: name it in `calibrate.routes` of the configuration, and restart\n"
            .to_owned();
    }
    let mut text = String::new();
    for route in &report.routes {
        let _ = writeln!(text, "{}: {}", route.route, clean(&route.words));
    }
    let titles = [
        "ROUTE",
        "METRIC",
        "LARGEST E",
        "NEEDED",
        "RELEASE",
        "BEGAN",
        "ENDED",
    ];
    let mut rows = Columns::titled(&titles);
    for route in &report.routes {
        let all = route.largest.iter().map(|peak| ("all", peak));
        let each = |peak| (CalibrationPeak::metric(peak), peak);
        for (metric, peak) in all.chain(route.metrics.iter().map(each)) {
            rows.row(vec![
                route.route.to_string(),
                clean(metric),
                format!("{:.1}", peak.e),
                format!("{:.0}", report.bound),
                format!("{} ({})", peak.release, clean(peak.version.as_str())),
                peak.began_at.to_string(),
                peak.ended_at.to_string(),
            ]);
        }
    }
    if report.routes.iter().any(|route| route.largest.is_some()) {
        text.push_str(&rows.shown());
    }
    text
}
