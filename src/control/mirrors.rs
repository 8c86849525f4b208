//! Figures of the mirror of a route, and of those it had before.

use super::Controller;
use crate::{
    api::{
        MirrorAnswers, MirrorClassPair, MirrorDifference, MirrorFigures, MirrorJson, MirrorReport,
    },
    model::{JsonSkip, MirrorFailure, MirrorSkip, RouteName},
    stats::{AnswerSnapshot, HistogramSnapshot, JsonSnapshot, MirrorSnapshot},
};

impl Controller {
    /// The mirror of a live route, and the figures of all releases that it was mirrored to; `None` if there is no such
    /// route.
    pub fn mirror(&self, route: &RouteName) -> Option<MirrorReport> {
        let live = self.live();
        let compiled = live.compiled().named(route)?;
        let spec = compiled.mirror();
        let whole = compiled.spec().whole();
        let is_live = |release: &str, version: &str| {
            spec.is_some_and(|mirror| {
                let own = mirror.release();
                own.name().as_str() == release && own.version().as_str() == version
            })
        };
        let all = self.fleet.all_mirrors().into_iter();
        let own = all.filter(|((name, _, _), _)| name == route);
        let compares = spec.is_some_and(|mirror| mirror.spec().compare_json.is_some());
        let figures = own.map(|((_, release, version), counters)| {
            let seen = counters.snapshot();
            let is_live = is_live(release.as_str(), version.as_str());
            let json = (is_live && compares || seen.json.all() > 0).then(|| json(&seen.json));
            MirrorFigures {
                is_live,
                json,
                ..figures(release, version, &seen)
            }
        });
        // The compilation of a dry run makes counters as well.
        let figures = figures.filter(|figures| figures.is_live || figures.chosen > 0);
        Some(MirrorReport {
            revision: live.revision(),
            route: route.clone(),
            serves_all: spec.is_some_and(|mirror| whole == Some(mirror.release().name())),
            mirror: spec.map(|mirror| mirror.spec().clone()),
            releases: figures.collect(),
        })
    }
}

fn figures(
    release: crate::model::ReleaseName,
    version: crate::model::Version,
    seen: &MirrorSnapshot,
) -> MirrorFigures {
    let skipped = MirrorSkip::ALL.iter().zip(seen.skipped);
    let failed = MirrorFailure::ALL.iter().zip(seen.failed);
    let pair = |(original, copy, count)| MirrorClassPair {
        original: format!("{original}xx"),
        copy: format!("{copy}xx"),
        count,
    };
    MirrorFigures {
        release,
        version,
        is_live: false,
        chosen: seen.chosen(),
        mirrored: seen.mirrored,
        pending: seen.pending as u64,
        not_mirrored: skipped
            .map(|(reason, count)| (reason.as_str().to_owned(), count))
            .collect(),
        answered: seen.answered(),
        agreed: seen.agreed(),
        disagreed: seen.disagreed(),
        failed: failed
            .map(|(reason, count)| (reason.as_str().to_owned(), count))
            .collect(),
        statuses: seen.pairs().map(pair).collect(),
        original: answers(&seen.original),
        copy: answers(&seen.copy),
        json: None,
    }
}

fn json(seen: &JsonSnapshot) -> MirrorJson {
    let skipped = JsonSkip::ALL.iter().zip(seen.skipped);
    let paths = seen.paths.iter().cloned();
    MirrorJson {
        same: seen.same,
        different: seen.different,
        not_compared: skipped
            .map(|(reason, count)| (reason.as_str().to_owned(), count))
            .collect(),
        differences: paths
            .map(|(path, count)| MirrorDifference { path, count })
            .collect(),
    }
}

fn answers(seen: &AnswerSnapshot) -> MirrorAnswers {
    let count = seen.duration.count();
    #[expect(
        clippy::cast_precision_loss,
        reason = "answers are counted in millions"
    )]
    let mean = |sum: f64| (count > 0).then(|| sum / count as f64);
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more digits")]
    let bytes = seen.bytes as f64;
    MirrorAnswers {
        mean_seconds: mean(seen.duration.sum_seconds()),
        p50_at_most_seconds: bound(&seen.duration, 0.5),
        p95_at_most_seconds: bound(&seen.duration, 0.95),
        mean_bytes: mean(bytes),
    }
}

/// The lowest bound of the histogram that this part of the values is not above; `None` without values, or beyond the
/// last bound.
fn bound(histogram: &HistogramSnapshot, part: f64) -> Option<f64> {
    let count = histogram.count();
    #[expect(
        clippy::cast_precision_loss,
        reason = "answers are counted in millions"
    )]
    let mut bounds = histogram
        .cumulative()
        .filter(|(_, below)| *below as f64 >= part * count as f64);
    let (bound, _) = bounds.next().filter(|_| count > 0)?;
    bound.is_finite().then_some(bound)
}
