//! Follows what happens: a table that is drawn anew in place on a terminal, a line for each event otherwise.

use std::{
    collections::VecDeque,
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    certificate_words,
    client::{ApiRequest, Client},
    event_stream::EventStream,
    exit::{Exit, Failure},
    kpis,
    output::{Out, print},
    rollout_words,
    text::clean,
};
use crate::api::{Event, EventBody, KpiReport};

/// Window of the figures.
const WINDOW: &str = "10s";
/// Interval at which the table is drawn, and at which a lost connection is tried again.
const DRAW: Duration = Duration::from_secs(1);
/// Most events below the table.
const SHOWN: usize = 12;
/// Puts the cursor into the first place and clears what is below.
const HOME: &str = "\x1b[H\x1b[J";
/// Cuts lines that are longer than the terminal is wide, and ends that: a wrapped line would take the place of another.
const CUT: [&str; 2] = ["\x1b[?7l", "\x1b[?7h"];
/// Rows of a terminal that does not say how many it has.
const ROWS: u16 = 24;
/// Its columns.
const COLUMNS: u16 = 80;

/// Content of the terminal.
#[derive(Default)]
struct Screen {
    report: Option<KpiReport>,
    events: VecDeque<String>,
    lost: Option<(Instant, String)>,
}

/// News for the screen.
enum News {
    Event(Box<Event>),
    Report(Box<KpiReport>),
    Lost(Failure),
}

/// Follows events until the process is ended.
pub(super) async fn watch(client: &Client, last: u16, json: bool) -> Result<Out, Failure> {
    if !json && std::io::stdout().is_terminal() {
        return on_terminal(client, last).await;
    }
    let (sender, mut news) = mpsc::channel(16);
    let follow = follow(client, last, sender);
    let write = async {
        while let Some(one) = news.recv().await {
            match one {
                News::Event(event) if json => {
                    print(&serde_json::to_vec(&event).expect("types of the API have string keys"));
                }
                News::Event(event) => print(line(&event).as_bytes()),
                News::Lost(failure) => {
                    let _ = writeln!(std::io::stderr(), "{}; trying again", failure.message);
                }
                News::Report(_) => {}
            }
        }
        Ok(Out::default())
    };
    tokio::select! {
        failed = follow => failed,
        ended = write => ended,
    }
}

async fn on_terminal(client: &Client, last: u16) -> Result<Out, Failure> {
    let (sender, mut news) = mpsc::channel(16);
    let mut screen = Screen::default();
    let draw = async {
        while let Some(one) = news.recv().await {
            screen.take(one);
            let [cut, wrap] = CUT;
            let text = screen.lines(size()).join("\n");
            print(format!("{HOME}{cut}{text}{wrap}").as_bytes());
        }
        Ok(Out::default())
    };
    tokio::select! {
        failed = follow(client, last, sender.clone()) => failed,
        failed = read_figures(client, sender) => failed,
        ended = draw => ended,
    }
}

/// Rows and columns of the terminal.
fn size() -> [usize; 2] {
    let size = terminal_size::terminal_size();
    let [rows, columns] = size.map_or([ROWS, COLUMNS], |(columns, rows)| [rows.0, columns.0]);
    [rows.into(), columns.into()]
}

/// Sends events as they come, over lost connections. Fails if the first connection cannot be made.
async fn follow(client: &Client, last: u16, news: mpsc::Sender<News>) -> Result<Out, Failure> {
    let mut stream = EventStream::open(client, None, last).await?;
    let mut after: Option<String> = None;
    loop {
        let failure = loop {
            match stream.next().await {
                Ok(Some(event)) => {
                    after = Some(event.id.clone());
                    if news.send(News::Event(Box::new(event))).await.is_err() {
                        return Ok(Out::default());
                    }
                }
                Ok(None) => {
                    break Failure::new(Exit::Unreachable, "the stream of events has ended");
                }
                Err(failure) => break failure,
            }
        };
        let _shown = news.send(News::Lost(failure)).await;
        stream = loop {
            tokio::time::sleep(DRAW).await;
            match EventStream::open(client, after.as_deref(), last).await {
                Ok(stream) => break stream,
                Err(failure) if is_away(&failure) => {}
                Err(failure) => return Err(failure),
            }
        };
    }
}

/// True if it may work later.
fn is_away(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Unreachable | Exit::TryAgain)
}

/// Sends key figures once a second.
async fn read_figures(client: &Client, news: mpsc::Sender<News>) -> Result<Out, Failure> {
    loop {
        let ask = ApiRequest::get("/v1/kpis").argument("window", WINDOW);
        let read = client.send(ask).await.and_then(|answer| answer.read());
        let one = match read {
            Ok(report) => News::Report(Box::new(report)),
            Err(failure) if is_away(&failure) => News::Lost(failure),
            Err(failure) => return Err(failure),
        };
        if news.send(one).await.is_err() {
            return Ok(Out::default());
        }
        tokio::time::sleep(DRAW).await;
    }
}

impl Screen {
    fn take(&mut self, news: News) {
        match news {
            News::Event(event) => {
                if self.events.len() == SHOWN {
                    self.events.pop_front();
                }
                self.events.push_back(line(&event));
            }
            News::Report(report) => {
                self.report = Some(*report);
                self.lost = None;
            }
            News::Lost(failure) => {
                self.lost.get_or_insert((Instant::now(), failure.message));
            }
        }
    }

    /// The key figures, and the latest events for which there is room: one line less than there are rows, for the cursor,
    /// and none wider than the terminal.
    fn lines(&self, [rows, columns]: [usize; 2]) -> Vec<String> {
        let room = rows.saturating_sub(1);
        let mut lines = Vec::new();
        if let Some((since, message)) = &self.lost {
            let seconds = since.elapsed().as_secs();
            lines.push(format!("NOT LIVE for {seconds} s: {message}"));
        }
        if let Some(report) = &self.report {
            lines.extend(kpis::shown(report).lines().map(str::to_owned));
        }
        cut(&mut lines, room);
        let events = room.saturating_sub(lines.len() + 1).min(self.events.len());
        if events > 0 {
            lines.push(String::new());
            lines.extend(self.events.iter().rev().take(events).rev().cloned());
        }
        for line in &mut lines {
            shorten(line, columns);
        }
        lines
    }
}

/// Cuts a line to this many characters; the last one says that something is missing.
fn shorten(line: &mut String, columns: usize) {
    if line.chars().nth(columns).is_some() {
        let kept = line.chars().take(columns.saturating_sub(1));
        *line = kept.chain(['…']).collect();
    }
}

/// Cuts lines to this many, the last of which says how many are missing.
fn cut(lines: &mut Vec<String>, room: usize) {
    if lines.len() > room {
        let kept = room.saturating_sub(1);
        let missing = lines.len() - kept;
        lines.truncate(kept);
        lines.push(format!("{missing} more lines: the terminal is too low"));
    }
}

/// An event as a line.
fn line(event: &Event) -> String {
    format!(
        "{}  {:<18}  {}",
        event.at,
        event.body.kind(),
        clean(&words(&event.body))
    )
}

fn backup(body: &EventBody) -> String {
    let EventBody::Backup { file, bytes, error } = body else {
        return String::new();
    };
    let file = file.as_deref().unwrap_or("none was made");
    let error = error.as_ref().map(|error| format!(": {error}"));
    format!("{file}, {bytes} bytes{}", error.unwrap_or_default())
}

fn words(body: &EventBody) -> String {
    match body {
        EventBody::Revision {
            revision,
            cause,
            author,
            message,
            routes,
            releases,
            flags,
            ..
        } => {
            let changed = changed([listed(routes), listed(releases), listed(flags)]);
            let message = message
                .as_ref()
                .map_or(String::new(), |why| format!(": {why}"));
            format!("{revision} is live: {cause} by {author} [{changed}]{message}")
        }
        EventBody::Rollout {
            routes,
            releases,
            event,
            state,
            paused_for,
            verdict,
            ..
        } => {
            let (releases, routes) = (listed(releases), listed(routes));
            let verdict = verdict
                .as_ref()
                .map_or(String::new(), |words| format!(": {words}"));
            let state = rollout_words::state(*state, *paused_for);
            format!("{releases} on {routes}: {event}, {state}{verdict}")
        }
        EventBody::Verification {
            revision, words, ..
        } => format!("of rollback {revision}: {words}"),
        EventBody::Drill {
            route,
            state,
            failures,
            ..
        } => format!("of {route} has {}: {}", state.as_str(), failures.join("; ")),
        EventBody::Backup { .. } => backup(body),
        EventBody::Certificate { .. } => certificate_words::event(body),
        EventBody::Quarantine {
            release,
            version,
            lifted,
            by,
            reason,
        } => {
            let is = if *lifted {
                "is lifted"
            } else {
                "is in quarantine"
            };
            format!("{release} ({version}) {is} by {by}: {reason}")
        }
        other => facts(other),
    }
}

/// Names with commas between them.
/// The names of what a revision changed: routes, releases and flags.
fn changed([routes, releases, flags]: [String; 3]) -> String {
    let kinds = [("", routes), ("releases ", releases), ("flags ", flags)];
    let named = kinds.iter().filter(|(_, names)| !names.is_empty());
    let all: Vec<_> = named
        .map(|(kind, names)| format!("{kind}{names}"))
        .collect();
    all.join("; ")
}

fn listed(names: &[impl ToString]) -> String {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// A change of facts in words.
fn facts(body: &EventBody) -> String {
    let ready = |ready: bool| if ready { "ready" } else { "NOT READY" };
    match body {
        EventBody::Endpoint {
            release,
            endpoint,
            address,
            health,
            ejected,
            ..
        } => {
            let health = format!("{health:?}").to_lowercase();
            let ejected = if ejected.is_some() { ", ejected" } else { "" };
            format!("{endpoint} ({address}) of {release}: {health}{ejected}")
        }
        EventBody::Release {
            release,
            version,
            ready: is,
        } => format!("{release} ({version}) is {}", ready(*is)),
        EventBody::RollbackReadiness { ready: is } => format!("a rollback is {}", ready(*is)),
        EventBody::Drained { release, version } => format!("{release} ({version})"),
        EventBody::Disk { ok: true, .. } => "the history is written again".to_owned(),
        EventBody::Disk { error, pending, .. } => {
            let error = error.as_deref().unwrap_or("it does not answer");
            format!("THE HISTORY IS NOT WRITTEN ({pending} pending): {error}")
        }
        EventBody::Gap { lost: Some(lost) } => format!("{lost} events are missing here"),
        EventBody::Gap { lost: None } => {
            "events are missing here: switchback was started anew".to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(events: usize) -> Screen {
        let events = (1..=events).map(|number| format!("event {number}"));
        Screen {
            lost: Some((Instant::now(), "gone".to_owned())),
            events: events.collect(),
            ..Screen::default()
        }
    }

    #[test]
    fn the_latest_events_have_the_room_below_the_figures() {
        let lost = "NOT LIVE for 0 s: gone";
        let lines = screen(12).lines([6, 80]);
        assert_eq!(lines, [lost, "", "event 10", "event 11", "event 12"]);
        assert_eq!(screen(2).lines([24, 80]), [lost, "", "event 1", "event 2"]);
        for rows in 1..4 {
            let lines = screen(12).lines([rows, 80]);
            assert!(lines.len() < rows.max(2), "{rows}: {lines:?}");
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let lines = screen(1).lines([24, 9]);
        assert_eq!(lines, ["NOT LIVE…", "", "event 1"]);
        let mut exact = "12345".to_owned();
        shorten(&mut exact, 5);
        assert_eq!(exact, "12345");
    }

    #[test]
    fn figures_that_are_too_many_say_so() {
        let mut lines = ["a", "b", "c"].map(str::to_owned).to_vec();
        cut(&mut lines, 3);
        assert_eq!(lines, ["a", "b", "c"]);
        cut(&mut lines, 2);
        assert_eq!(lines, ["a", "2 more lines: the terminal is too low"]);
    }
}
