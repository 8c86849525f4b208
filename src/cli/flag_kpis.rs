//! Key figures of a flag by variant.

use std::fmt::Write as _;

use super::{
    client::{ApiRequest, Client},
    exit::Failure,
    kpis::{TITLES, figures, notice},
    output::Out,
    text::{Columns, clean},
};
use crate::{
    api::FlagKpiReport,
    model::{FlagName, HumanDuration, RouteName},
};

/// Shows the key figures of a flag.
pub(super) async fn flag_kpis(
    client: &Client,
    flag: &FlagName,
    window: HumanDuration,
) -> Result<Out, Failure> {
    let window = window.to_string().replace(' ', "");
    let ask = ApiRequest::get(format!("/v1/flags/{flag}/kpis")).argument("window", &window);
    let answer = client.send(ask).await?;
    let report: FlagKpiReport = answer.read()?;
    Ok(Out {
        text: shown(&report),
        json: answer.body,
    })
}

/// The table, and a sentence for each comparison.
fn shown(report: &FlagKpiReport) -> String {
    let mut text = format!(
        "revision {}, the last {} s up to {}\n",
        report.revision, report.window_seconds, report.at
    );
    text.push_str(&notice(report.age_seconds));
    if !report.is_counted {
        let _ = writeln!(
            text,
            "flag {} asks for no key figures: `switchback flag set {} --kpis`",
            report.flag, report.flag
        );
    }
    let routes: Vec<_> = report.routes.iter().map(RouteName::as_str).collect();
    if routes.is_empty() {
        text.push_str("no route hands it to its endpoints\n");
    } else {
        let _ = writeln!(text, "requests of {}", routes.join(", "));
    }
    let mut rows = Columns::titled(&[&["VARIANT"][..], &TITLES[..]].concat());
    for variant in &report.variants {
        let mark = if variant.is_default { " (default)" } else { "" };
        let mut cells = vec![format!("{}{mark}", variant.variant)];
        cells.extend(figures(&variant.kpis));
        rows.row(cells);
    }
    text.push_str(&rows.shown());
    for variant in &report.variants {
        if let Some(feedback) = &variant.kpis.feedback {
            let _ = writeln!(
                text,
                "users said of {}: {} positive, {} neutral, {} negative",
                variant.variant, feedback.positive, feedback.neutral, feedback.negative
            );
        }
    }
    for comparison in report
        .variants
        .iter()
        .filter_map(|one| one.comparison.as_ref())
    {
        let _ = writeln!(text, "{}", clean(&comparison.words));
    }
    text
}
