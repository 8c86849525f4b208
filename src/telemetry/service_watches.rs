//! Metrics of the watches of Services, read at the time of a scrape.

use super::{names, sample::Sink};
use crate::fleet::Fleet;

/// Writes the state of all watches. One that has not been answered yet is up as long as it has not failed.
pub(super) fn write(sink: &mut dyn Sink, fleet: &Fleet) {
    let watches = fleet.service_watches();
    if watches.is_empty() {
        return;
    }
    let states: Vec<_> = watches
        .iter()
        .map(|watch| (watch.service(), watch.state()))
        .collect();
    sink.head(names::SERVICE_WATCH_UP);
    for (service, state) in &states {
        let labels = [("watched_service", *service)];
        let is_up = state.failing.is_none();
        sink.sample(names::SERVICE_WATCH_UP, &labels, u64::from(is_up));
    }
    sink.head(names::SERVICE_WATCH_FAILURES);
    for (service, state) in &states {
        let labels = [("watched_service", *service)];
        sink.sample(names::SERVICE_WATCH_FAILURES, &labels, state.failures);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::SystemTime};

    use super::*;
    use crate::{fleet::ServiceWatch, telemetry::text::Text};

    fn written(fleet: &Fleet) -> String {
        let mut text = Text::default();
        write(&mut text, fleet);
        text.finish()
    }

    #[test]
    fn a_watch_that_fails_is_seen_and_without_any_there_is_nothing() {
        let fleet = Fleet::new(1);
        assert_eq!(written(&fleet), "");
        let watch = Arc::new(ServiceWatch::new("agents/chat".into()));
        fleet.set_service_watches(vec![Arc::clone(&watch)]);
        assert!(
            written(&fleet)
                .contains("switchback_service_watch_up{watched_service=\"agents/chat\"} 1")
        );
        watch.failed(SystemTime::UNIX_EPOCH, "away");
        let text = written(&fleet);
        for line in [
            "switchback_service_watch_up{watched_service=\"agents/chat\"} 0",
            "switchback_service_watch_failures_total{watched_service=\"agents/chat\"} 1",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
