//! The tables of `docs/verdicts.md`, in Markdown.

use std::fmt::Write as _;

use super::simulation::rollouts::Delays;

/// Name, rollouts, and share of false alarms.
pub(crate) type Equal = (String, usize, f64);

/// Delays of a case.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) delays: Delays,
}

pub(crate) fn targets(
    worst: f64,
    failing: &[Case],
    whole: &[Case],
    late: &[Case],
    fine: &[Case],
) -> String {
    let rows = [
        (
            "failures 1 % → 10 %, failures alone",
            failing,
            "0.01 10 5",
            55,
        ),
        (
            "failures 1 % → 10 %, all signals",
            whole,
            "failures × 10",
            65,
        ),
        ("failures 0.1 % → 1 %", failing, "0.001 10 5", 500),
        ("all durations × 1.5", whole, "all durations × 1.5", 240),
        ("every request fails", whole, "every request fails", 5),
        (
            "× 10 after 20,000 healthy canary requests",
            late,
            "after 20,000 healthy canary requests",
            140,
        ),
        (
            "*fine* at 1 % failures",
            fine,
            "failures of 1 %, as good, 5 % canary",
            900,
        ),
    ];
    let mut page = String::from(
        "Median canary requests, 5 % canary, a look after each request:\n\n\
         | what | measured | target | |\n|---|--:|--:|---|\n",
    );
    for (what, cases, name, target) in rows {
        let case = cases.iter().find(|case| case.name == name);
        let measured = case.expect("a case of this name").delays.median();
        let is_met = measured.is_some_and(|measured| measured <= target);
        let (measured, target) = (number(measured), grouped(target));
        let _ = writeln!(
            page,
            "| {what} | {measured} | ≤ {target} | {} |",
            mark(is_met)
        );
    }
    let share = worst * 100.0;
    let mark = mark(worst <= 0.01);
    page + &format!("| false alarms, the worst of all cells | {share:.2} % | ≤ 1 % | {mark} |\n")
}

fn mark(is_met: bool) -> &'static str {
    if is_met { "✓" } else { "✗" }
}

pub(crate) fn equal_table(cells: &[Equal]) -> String {
    let mut page = String::from(
        "\nFalse alarms among equal releases:\n\n| rollouts of | rollouts | false alarms |\n|---|--:|--:|\n",
    );
    for (name, rollouts, share) in cells {
        let _ = writeln!(
            page,
            "| {name} | {} | {:.2} % |",
            grouped(*rollouts as u64),
            share * 100.0
        );
    }
    page
}

pub(crate) fn failing_table(cases: &[Case]) -> String {
    let mut page = String::from(
        "\nCanary requests until *worse*, failures alone, median / p95:\n\n\
         | stable fails | canary | 1 % canary | 5 % canary | 50 % canary |\n|--:|--:|--:|--:|--:|\n",
    );
    for shares in cases.chunks(3) {
        let mut words = shares[0].name.split(' ');
        let base: f64 = words
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a rate");
        let factor = words.next().unwrap_or_default();
        let cell = |case: &Case| {
            format!(
                "{} / {}",
                number(case.delays.median()),
                number(case.delays.quantile(0.95))
            )
        };
        let cells: Vec<String> = shares.iter().map(cell).collect();
        let _ = writeln!(
            page,
            "| {} % | × {factor} | {} |",
            base * 100.0,
            cells.join(" | ")
        );
    }
    page
}

pub(crate) fn delays_table(title: &str, cases: &[Case]) -> String {
    let mut page = format!(
        "\n{title}:\n\n| case | found in | median canary requests | p95 |\n|---|--:|--:|--:|\n"
    );
    for Case { name, delays } in cases {
        let (median, p95) = (number(delays.median()), number(delays.quantile(0.95)));
        let _ = writeln!(
            page,
            "| {name} | {:.1} % | {median} | {p95} |",
            delays.share() * 100.0
        );
    }
    page
}

pub(crate) fn number(value: Option<u64>) -> String {
    value.map_or("–".into(), grouped)
}

/// A number with its thousands apart.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
