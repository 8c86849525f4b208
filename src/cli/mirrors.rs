//! The subcommand that shows the mirror of a route.

use std::fmt::Write as _;

use clap::Subcommand;

use super::{
    client::{ApiRequest, Client},
    exit::Failure,
    output::Out,
    text::{Columns, clean, count, percent},
};
use crate::{
    api::{MirrorAnswers, MirrorDifference, MirrorFigures, MirrorJson, MirrorReport},
    model::RouteName,
};

/// Subcommands of mirrors.
#[derive(Debug, Subcommand)]
pub(super) enum MirrorVerb {
    /// Show the mirror of a route: what was copied, and how the answers compare
    #[command(
        after_help = "Examples:\n  switchback mirror show chat\n  switchback mirror show chat --json | jq '.releases[0].agreed'"
    )]
    Show {
        /// The route
        route: RouteName,
    },
}

pub(super) async fn mirror(client: &Client, verb: MirrorVerb) -> Result<Out, Failure> {
    let MirrorVerb::Show { route } = verb;
    let path = format!("/v1/routes/{route}/mirror");
    let answer = client.send(ApiRequest::get(&path)).await?;
    let report: MirrorReport = answer.read()?;
    Ok(Out {
        text: shown(&report),
        json: answer.body,
    })
}

fn shown(report: &MirrorReport) -> String {
    let mut text = match &report.mirror {
        None => format!("{}: no mirror\n", report.route),
        Some(mirror) => format!(
            "{}: {}% of the requests are mirrored to {}{}{}\n",
            report.route,
            mirror.percent,
            mirror.release,
            if mirror.sandbox {
                ", of every method"
            } else {
                ""
            },
            if mirror.credentials {
                ", with credentials"
            } else {
                ""
            },
        ),
    };
    if let Some(mirror) = report.mirror.as_ref().filter(|_| report.serves_all) {
        let _ = writeln!(
            text,
            "  {} serves every request itself, so nothing is copied to it",
            mirror.release
        );
    }
    for figures in &report.releases {
        write_figures(&mut text, figures);
    }
    text
}

fn write_figures(text: &mut String, figures: &MirrorFigures) {
    let before = if figures.is_live { "" } else { " (before)" };
    let _ = writeln!(
        text,
        "\n{} ({}){before}: {} of {} chosen mirrored{}",
        figures.release,
        clean(figures.version.as_str()),
        figures.mirrored,
        count(figures.chosen, "request"),
        reasons(&figures.not_mirrored),
    );
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
    let share = figures.agreed as f64 / figures.answered.max(1) as f64;
    let _ = writeln!(
        text,
        "  {} agree in the class of their status, of {} ({}); {} pending; without an answer: {}{}",
        figures.agreed,
        count(figures.answered, "answer"),
        percent(share),
        figures.pending,
        figures.failed.values().sum::<u64>(),
        reasons(&figures.failed),
    );
    let pairs = figures.statuses.iter();
    for pair in pairs.filter(|pair| pair.original != pair.copy) {
        let (original, copy) = (clean(&pair.original), clean(&pair.copy));
        let _ = writeln!(text, "  {} times {original} became {copy}", pair.count);
    }
    if let Some(json) = &figures.json {
        write_json(text, json);
    }
    if figures.answered > 0 {
        text.push_str(&sides(figures));
    }
}

fn write_json(text: &mut String, json: &MirrorJson) {
    let compared = json.same + json.different;
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
    let share = json.same as f64 / compared.max(1) as f64;
    let _ = writeln!(
        text,
        "  {} hold the same JSON, of {} ({}); not compared: {}{}",
        json.same,
        count(compared, "answer"),
        percent(share),
        json.not_compared.values().sum::<u64>(),
        reasons(&json.not_compared),
    );
    let place = |found: &MirrorDifference| {
        let path = if found.path.is_empty() {
            "the whole document"
        } else {
            &found.path
        };
        format!("{} ({})", clean(path), found.count)
    };
    let places: Vec<_> = json.differences.iter().map(place).collect();
    if !places.is_empty() {
        let _ = writeln!(text, "  differed at {}", places.join(", "));
    }
}

/// Both sides of the answers, one below the other.
fn sides(figures: &MirrorFigures) -> String {
    let mut rows = Columns::titled(&["ANSWERS OF", "MEAN", "P50 ≤", "P95 ≤", "MEAN BYTES"]);
    let seconds = |value: Option<f64>| {
        value.map_or_else(
            || "–".to_owned(),
            |seconds| format!("{:.1} ms", seconds * 1_000.0),
        )
    };
    let bytes =
        |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"));
    let mut row = |name: &str, side: &MirrorAnswers| {
        rows.row(vec![
            name.to_owned(),
            seconds(side.mean_seconds),
            seconds(side.p50_at_most_seconds),
            seconds(side.p95_at_most_seconds),
            bytes(side.mean_bytes),
        ]);
    };
    row("originals", &figures.original);
    row("copies", &figures.copy);
    rows.shown()
}

/// ` (3 full, 1 method)`; nothing without any.
fn reasons(counts: &std::collections::BTreeMap<String, u64>) -> String {
    let counts = counts.iter().filter(|(_, count)| **count > 0);
    let counts: Vec<_> = counts
        .map(|(reason, count)| format!("{count} {}", clean(reason)))
        .collect();
    if counts.is_empty() {
        return String::new();
    }
    format!(" ({})", counts.join(", "))
}
