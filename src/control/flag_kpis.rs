//! Key figures by variant of a flag, of the requests of routes that hand it over.

use std::{collections::BTreeSet, time::Instant};

use super::{
    Controller,
    kpi_comparison::compared,
    kpi_figures,
    kpi_readings::{KpiReadings, KpiWindow},
    kpi_series::KpiSeries,
};
use crate::{
    analysis::CONFIDENCE,
    api::{FlagKpiReport, Kpis, VariantComparison, VariantKpis},
    model::{FlagName, VariantName},
    stats::OutcomeTotals,
};

/// A question about the key figures of a flag.
#[derive(Debug, Clone)]
pub struct FlagKpiQuery {
    /// The flag.
    pub flag: FlagName,
    /// Length of the window in seconds.
    pub window_seconds: u64,
    /// Most points of each series; none if absent.
    pub points: Option<usize>,
}

/// Source of a report.
struct FlagKpiReader<'a> {
    readings: &'a KpiReadings,
    window: KpiWindow,
    query: &'a FlagKpiQuery,
    /// The variant that the others are compared with.
    default: &'a VariantName,
}

impl Controller {
    /// Key figures of a flag; `None` if there is no such flag. To be called off the threads that make changes.
    pub fn flag_kpis(&self, query: &FlagKpiQuery) -> Option<FlagKpiReport> {
        let live = self.table.load();
        let state = live.state();
        let flag = state.spec.flag(&query.flag)?;
        let routes = state.spec.routes().iter();
        let routes = routes.filter(|route| route.flags.contains(&query.flag));
        let routes = routes.map(|route| route.name.clone()).collect();
        let readings = self.kpis.lock();
        let reader = FlagKpiReader {
            window: readings.window(query.window_seconds),
            readings: &readings,
            query,
            default: &flag.default,
        };
        let mut names: BTreeSet<&VariantName> = flag.variants.keys().collect();
        let busy = readings.of_flag(&query.flag);
        names.extend(
            busy.filter(|(_, series)| !reader.sum(series).is_empty())
                .map(|(name, _)| name),
        );
        Some(FlagKpiReport {
            at: readings.at,
            age_seconds: readings.age(Instant::now()).as_secs_f64(),
            revision: live.revision(),
            window_seconds: reader.window.seconds.end - reader.window.seconds.start,
            resolution_seconds: reader.window.resolution.seconds(),
            flag: query.flag.clone(),
            is_counted: flag.kpis,
            routes,
            variants: names.into_iter().map(|name| reader.variant(name)).collect(),
        })
    }
}

impl FlagKpiReader<'_> {
    fn series(&self, variant: &VariantName) -> Option<&KpiSeries> {
        let mut own = self.readings.of_flag(&self.query.flag);
        own.find(|(name, _)| *name == variant)
            .map(|(_, series)| series)
    }

    fn sum(&self, series: &KpiSeries) -> OutcomeTotals {
        let seconds = self.window.seconds.clone();
        series.windows.sum(self.window.resolution, seconds)
    }

    fn variant(&self, name: &VariantName) -> VariantKpis {
        let own = self.series(name);
        let is_default = name == self.default;
        VariantKpis {
            variant: name.clone(),
            is_default,
            kpis: self.kpis(own),
            points: self.query.points.map(|most| {
                kpi_figures::points(self.readings, &self.window, most, own.into_iter())
            }),
            comparison: (!is_default).then(|| self.comparison(name, own)),
        }
    }

    fn kpis(&self, series: Option<&KpiSeries>) -> Kpis {
        let seconds = &self.window.seconds;
        let began = series.map_or(u64::MAX, |series| series.began);
        let length = seconds.end - seconds.start.max(began).min(seconds.end);
        let totals = series.map(|series| self.sum(series)).unwrap_or_default();
        Kpis {
            in_flight: None,
            ..kpi_figures::kpis(&totals, length, 0)
        }
    }

    fn comparison(&self, name: &VariantName, own: Option<&KpiSeries>) -> VariantComparison {
        let default = self.series(self.default);
        let found = compared(
            &self.window,
            (name.as_str(), own),
            (self.default.as_str(), default),
        );
        VariantComparison {
            default: self.default.clone(),
            seconds: found.seconds,
            confidence: CONFIDENCE,
            failure_share: found.failure_share,
            duration_p95_seconds: found.duration_p95_seconds,
            first_byte_p95_seconds: found.first_byte_p95_seconds,
            words: found.words,
        }
    }
}
