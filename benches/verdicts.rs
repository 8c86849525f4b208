//! Simulated rollouts: false alarms, delays, and the judges of other tools on the same traffic.
//!
//! `cargo bench --bench verdicts -- --print` prints the tables of `docs/verdicts.md`, `--docs` writes them there; both
//! take some minutes. Anything else runs each case with few rollouts.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program that prints statistics"
)]

#[path = "verdicts/mod.rs"]
mod simulation;
#[path = "verdicts/tables.rs"]
mod tables;

use simulation::{
    draws::Draws,
    every_signal::{Limits, Rates, until_told_apart},
    failures::{Rollout, Traffic, until_fine, until_late, until_worse},
    long_work::{Settled, until_passed},
    references::{RolledBack, compare},
    requests::{Frozen, Kind, Requests, Slower},
    rollouts::{Delays, many},
    sessions::{Unit, is_false_alarm},
};
use switchback::analysis::{Finding, Judge};
use tables::{Case, Equal, delays_table, equal_table, failing_table, grouped, number, targets};

const SEED: u64 = 20_261_128;
const BEGIN: &str = "<!-- begin: cargo bench --bench verdicts -- --docs -->\n";
const END: &str = "<!-- end -->\n";

fn main() {
    let is = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    let is_full = is("--print") || is("--docs");
    let scale = Scale(if is_full { 1.0 } else { 0.002 });
    let page = page(scale);
    if is("--docs") {
        write(&page);
    } else if is_full {
        println!("{page}");
    } else {
        println!("Success: {} lines", page.lines().count());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the page is in git; a torn one is seen"
)]
fn write(page: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verdicts.md");
    let text = std::fs::read_to_string(path).expect("the page is there");
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("the page has a place for the tables");
    let (_, after) = rest.split_once(END).expect("the place has an end");
    std::fs::write(path, format!("{before}{BEGIN}\n{page}\n{END}{after}"))
        .expect("the page can be written");
}

/// Part of the rollouts that are run.
#[derive(Clone, Copy)]
struct Scale(f64);

impl Scale {
    fn of(self, rollouts: usize) -> usize {
        ((rollouts as f64 * self.0) as usize).max(2)
    }
}

fn page(scale: Scale) -> String {
    let equal = equal_releases(scale);
    let failing = failing(scale);
    let whole = whole_judge(scale);
    let late = late(scale);
    let fine = fine(scale);
    let worst = equal.iter().map(|(_, _, share)| *share).fold(0.0, f64::max);
    let mut page = targets(worst, &failing, &whole, &late, &fine);
    page += &equal_table(&equal);
    page += &failing_table(&failing);
    page += &delays_table(
        "All signals together, 5 % canary, 1 % failures and 2 % broken streams on stable",
        &whole,
    );
    page += &delays_table(
        "A regression from 1 % to 10 % that starts late, 5 % canary",
        &late,
    );
    page += &delays_table(
        "*Fine* for a canary as good as stable, and for one that is twice as bad",
        &fine,
    );
    page + &others(scale)
}

/// False alarms among rollouts of equal releases.
fn equal_releases(scale: Scale) -> Vec<Equal> {
    let mut cells = Vec::new();
    let mut cell = |name: String, rollouts: usize, one: &(dyn Fn(&mut Draws) -> bool + Sync)| {
        let rollouts = scale.of(rollouts);
        let alarms = many(rollouts, SEED + cells.len() as u64, one);
        let share = alarms.iter().filter(|alarm| **alarm).count() as f64 / rollouts as f64;
        progress(&name);
        cells.push((name, rollouts, share));
    };
    for percent in [1, 5, 50] {
        for base in [0.001, 0.01, 0.05] {
            let name = format!(
                "failures of {} %, {percent} % canary, 3,000 bad requests",
                base * 100.0
            );
            let requests = (3_000.0 / base) as u64;
            cell(name, 10_000, &|draws| {
                until_worse(draws, Traffic::new(percent, base, base), requests).is_some()
            });
        }
    }
    for percent in [1, 5, 50] {
        let name = format!("all signals, {percent} % canary, 40,000 requests");
        cell(name, 10_000, &|draws| {
            Requests::new(percent, Kind::STABLE)
                .until(draws, Finding::Worse, 40_000)
                .is_some()
        });
    }
    for percent in [5, 50] {
        let name = format!("sessions of 21 requests, 2 % of them bad, {percent} % canary");
        cell(name, 10_000, &|draws| {
            is_false_alarm(draws, Unit::Session, percent)
        });
    }
    for incident in [2, 3] {
        let name = format!("0.5 %, then 5 % for all in step {incident} of 5, 20, 50 %");
        cell(name, 10_000, &|draws| steps_with_incident(draws, incident));
    }
    cell(
        "0.2 to 2 % over the day, while 5, 20, 50 %".into(),
        10_000,
        &days,
    );
    for (limits, name) in [(Limits::Given, "given"), (Limits::Learned, "learned")] {
        for percent in [1, 5, 50] {
            let name =
                format!("all six signals, thresholds {name}, {percent} % canary, 40,000 requests");
            cell(name, 10_000, &|draws| {
                until_told_apart(draws, (percent, Rates::STABLE), limits, 40_000).is_some()
            });
        }
    }
    cells
}

fn steps_with_incident(draws: &mut Draws, incident: usize) -> bool {
    let mut rollout = Rollout::new();
    for (number, (percent, requests)) in [(5, 60_000), (20, 40_000), (50, 40_000)]
        .into_iter()
        .enumerate()
    {
        let rate = if number + 1 == incident { 0.05 } else { 0.005 };
        rollout.step(
            draws,
            Traffic::new(percent, rate, rate),
            requests,
            Judge::is_worse,
        );
        rollout.begin_step();
    }
    rollout.judge.is_worse()
}

fn days(draws: &mut Draws) -> bool {
    let mut rollout = Rollout::new();
    for hour in 0..144_u32 {
        let rate = 0.002
            * 10.0_f64.powf(0.5 + 0.5 * (f64::from(hour) * std::f64::consts::TAU / 48.0).sin());
        let percent = [5, 20, 50][(hour / 48) as usize];
        if hour > 0 && hour % 48 == 0 {
            rollout.begin_step();
        }
        rollout.step(
            draws,
            Traffic::new(percent, rate, rate),
            1_000,
            Judge::is_worse,
        );
    }
    rollout.judge.is_worse()
}

fn case(
    name: impl Into<String>,
    rollouts: usize,
    seed: u64,
    one: impl Fn(&mut Draws) -> Option<u64> + Sync,
) -> Case {
    let name = name.into();
    let delays = Delays::of(&many(rollouts, SEED + seed, one));
    progress(&name);
    Case { name, delays }
}

#[expect(clippy::print_stderr, reason = "the progress of some minutes")]
fn progress(name: &str) {
    eprintln!("{name}");
}

const FACTORS: [f64; 3] = [2.0, 5.0, 10.0];

fn failing(scale: Scale) -> Vec<Case> {
    let mut cases = Vec::new();
    for base in [0.001, 0.01, 0.05] {
        for factor in FACTORS {
            for percent in [1, 5, 50] {
                let traffic = Traffic::new(percent, base * factor, base);
                let seed = 100 + cases.len() as u64;
                cases.push(case(
                    format!("{base} {factor} {percent}"),
                    scale.of(2_000),
                    seed,
                    |draws| until_worse(draws, traffic, 40_000_000),
                ));
            }
        }
    }
    cases
}

fn whole_judge(scale: Scale) -> Vec<Case> {
    let stable = Kind::STABLE;
    let slower = |slower| Kind { slower, ..stable };
    let plain = |kind| Requests::new(5, kind);
    let bounds = |median, kind| Requests {
        median,
        frozen: Frozen::Bounds,
        ..plain(kind)
    };
    let fails = |fails| plain(Kind { fails, ..stable });
    let cases = [
        ("failures × 10", fails(0.1)),
        ("failures × 5", fails(0.05)),
        ("failures × 2", fails(0.02)),
        ("every request fails", fails(1.0)),
        (
            "broken streams × 5",
            plain(Kind {
                breaks: 0.1,
                ..stable
            }),
        ),
        ("all durations × 1.5", plain(slower(Slower::All(1.5)))),
        (
            "all durations × 1.5, thresholds at the histogram's bounds, median 1 s",
            bounds(1.0, slower(Slower::All(1.5))),
        ),
        (
            "all durations × 1.5, thresholds at the histogram's bounds, median 1.7 s",
            bounds(1.7, slower(Slower::All(1.5))),
        ),
        ("all durations × 1.2", plain(slower(Slower::All(1.2)))),
        (
            "p95 × 1.5, below p80 as stable",
            plain(slower(Slower::Tail(1.5))),
        ),
        (
            "p95 × 1.2, below p80 as stable",
            plain(slower(Slower::Tail(1.2))),
        ),
    ];
    let run = |(number, (name, requests)): (usize, (&str, Requests))| {
        case(name, scale.of(1_000), 200 + number as u64, |draws| {
            requests.until(draws, Finding::Worse, 400_000)
        })
    };
    cases.into_iter().enumerate().map(run).collect()
}

fn late(scale: Scale) -> Vec<Case> {
    let (healthy, sick) = (Traffic::new(5, 0.01, 0.01), Traffic::new(5, 0.1, 0.01));
    let run = |(number, after): (usize, u64)| {
        let name = format!("after {} healthy canary requests", grouped(after));
        let all = many(scale.of(2_000), SEED + 300 + number as u64, |draws| {
            until_late(draws, healthy, after, sick, 1_000_000)
        });
        progress(&name);
        // Called worse while healthy: false alarms, which stand in their own table.
        let seen: Vec<_> = all.into_iter().filter_map(Result::ok).collect();
        Case {
            name,
            delays: Delays::of(&seen),
        }
    };
    [0, 1_000, 5_000, 20_000, 200_000]
        .into_iter()
        .enumerate()
        .map(run)
        .collect()
}

fn fine(scale: Scale) -> Vec<Case> {
    let mut cases = Vec::new();
    for (base, requests) in [(0.001, 1_200_000), (0.01, 400_000), (0.05, 120_000)] {
        for (name, factor) in [("as good", 1.0), ("twice as bad", 2.0)] {
            let traffic = Traffic::new(5, base * factor, base);
            let name = format!("failures of {} %, {name}, 5 % canary", base * 100.0);
            let seed = 400 + cases.len() as u64;
            cases.push(case(name, scale.of(2_000), seed, |draws| {
                until_fine(draws, traffic, requests)
            }));
        }
    }
    let requests = Requests::new(5, Kind::STABLE);
    cases.push(case(
        "all signals, as good, 5 % canary",
        scale.of(1_000),
        450,
        |draws| requests.until(draws, Finding::Fine, 400_000),
    ));
    for (name, settled) in [
        ("by age", Settled::ByAge),
        ("when they end", Settled::AtTheEnd),
    ] {
        let name = format!("twice as bad after two minutes, units settled {name}");
        let run = move |draws: &mut Draws| until_passed(draws, settled);
        cases.push(case(name, scale.of(1_000), 460, run));
    }
    cases
}

/// Share of rollouts that each judge takes back, and its median canary requests.
fn others(scale: Scale) -> String {
    let mut page = String::from(
        "\nThe same traffic judged by others, 5 % canary: rollouts taken back, and the median of canary requests until then.\n\
         switchback and Kayenta have three hours, Flagger one, Argo 25 minutes.\n\n\
         | stable fails | canary | canary requests a minute | switchback | Flagger | Argo | Kayenta |\n|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for base in [0.001, 0.01, 0.05] {
        for canary in [1.0, 2.0, 5.0, 10.0]
            .map(|factor| base * factor)
            .into_iter()
            .chain([1.0])
        {
            for rate in [300, 6] {
                page += &compared(scale, Traffic::new(5, canary, base), rate);
            }
        }
        progress("others");
    }
    page
}

fn compared(scale: Scale, traffic: Traffic, rate: u64) -> String {
    let Traffic { canary, stable, .. } = traffic;
    let is_equal = canary <= stable;
    let rollouts = scale.of(if is_equal { 1_000 } else { 400 });
    let seed = SEED + (canary * 1e6) as u64 + rate;
    let all = many(rollouts, seed, |draws| compare(draws, traffic, rate));
    let cell = |judge: fn(&RolledBack) -> Option<u64>| {
        let found: Vec<_> = all.iter().map(judge).collect();
        let share = 100.0 * Delays::of(&found).share();
        let taken: Vec<_> = found.into_iter().flatten().map(Some).collect();
        let median = Delays::of(&taken).median().filter(|_| !is_equal);
        format!("{share:.1} %, {}", number(median))
    };
    let judges: [fn(&RolledBack) -> Option<u64>; 4] =
        [|r| r.switchback, |r| r.flagger, |r| r.argo, |r| r.kayenta];
    let cells = judges.map(cell).join(" | ");
    let (stable, factor) = (stable * 100.0, (canary / stable).round());
    let factor = if canary >= 1.0 {
        "all fail".into()
    } else {
        format!("× {factor}")
    };
    format!("| {stable} % | {factor} | {rate} | {cells} |\n")
}
