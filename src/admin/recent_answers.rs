//! Answers that are shared by readers who allow some age, such as open dashboards.
//!
//! A reader without `cache-control: max-age=N` gets what is so now. With it, the answer may be up to N seconds old, at most
//! [`OLDEST`], and is of the live revision and no older than the last event: a hundred dashboards cost as much as one, and
//! whoever changes something, or is told of an event, sees it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, HttpBody as _, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, response::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::sync::Mutex as AsyncMutex;

use super::error::ApiError;
use crate::{control::Controller, model::Revision};

/// Reads whose answers are shared.
const SHARED: [&str; 2] = ["/v1/status", "/v1/kpis"];
/// Most answers in memory.
const MOST: usize = 16;
/// Longest body that is kept, in bytes.
const LONGEST: u64 = 1 << 20;
/// Longest query that is kept, in bytes.
const LONGEST_QUERY: usize = 1 << 10;
/// Greatest age, whatever a reader allows.
const OLDEST: Duration = Duration::from_secs(5);

/// The latest answers.
pub(super) struct RecentAnswers {
    controller: Arc<Controller>,
    // The one that was asked for last is the last.
    slots: Mutex<Vec<(String, Arc<Slot>)>>,
}

/// The latest answer to one question. Locked while it is made: who asks meanwhile takes the same.
type Slot = AsyncMutex<Option<RecentAnswer>>;

/// The live revision, and the number of events so far.
type Moment = (Revision, u64);

#[derive(Clone)]
struct RecentAnswer {
    at: Instant,
    moment: Moment,
    headers: HeaderMap,
    body: Bytes,
}

impl RecentAnswers {
    /// No answers yet.
    pub(super) fn of(controller: &Arc<Controller>) -> Arc<Self> {
        Arc::new(Self {
            controller: Arc::clone(controller),
            slots: Mutex::default(),
        })
    }

    fn moment(&self) -> Moment {
        let revision = self.controller.live().revision();
        (revision, self.controller.events().count())
    }

    fn slot(&self, question: &str) -> Arc<Slot> {
        // Safe to ignore poisoning: nothing panics under this lock.
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let found = slots.iter().position(|(asked, _)| asked == question);
        let slot = match found {
            Some(place) => slots.remove(place),
            None => (question.to_owned(), Arc::default()),
        };
        if slots.len() == MOST {
            slots.remove(0);
        }
        slots.push(slot.clone());
        slot.1
    }
}

impl RecentAnswer {
    fn suits(&self, now: Instant, age: Duration, moment: Moment) -> bool {
        self.moment == moment && now.saturating_duration_since(self.at) <= age
    }

    fn response(self, now: Instant) -> Response {
        let age = now.saturating_duration_since(self.at).as_secs();
        let mut response = Response::new(Body::from(self.body));
        *response.headers_mut() = self.headers;
        response.headers_mut().insert(header::AGE, age.into());
        response
    }
}

/// Answers from the latest ones where the reader allows it.
pub(super) async fn share(
    State(recent): State<Arc<RecentAnswers>>,
    request: Request,
    next: Next,
) -> Response {
    let (Some(age), Some(question)) = (allowed_age(request.headers()), question(&request)) else {
        return next.run(request).await;
    };
    let slot = recent.slot(question);
    let mut slot = slot.lock().await;
    let moment = recent.moment();
    let (kept, now) = (slot.take(), Instant::now());
    if let Some(answer) = kept.filter(|answer| answer.suits(now, age, moment)) {
        *slot = Some(answer.clone());
        return answer.response(now);
    }
    let (response, answer) = kept_of(next.run(request).await, now, moment).await;
    *slot = answer;
    response
}

/// The response, and the same to be kept if it can be. It counts from the time at which it was asked for.
async fn kept_of(
    response: Response,
    at: Instant,
    moment: Moment,
) -> (Response, Option<RecentAnswer>) {
    let is_small = response
        .body()
        .size_hint()
        .upper()
        .is_some_and(|upper| upper <= LONGEST);
    if response.status() != StatusCode::OK || !is_small {
        return (response, None);
    }
    let (Parts { headers, .. }, body) = response.into_parts();
    match to_bytes(body, usize::MAX).await {
        Ok(body) => {
            let answer = RecentAnswer {
                at,
                moment,
                headers,
                body,
            };
            (answer.clone().response(at), Some(answer))
        }
        // The page was taken back from slow readers: this one goes without.
        Err(_) => (
            ApiError::overloaded("the answer was taken back").into_response(),
            None,
        ),
    }
}

/// The key of a read whose answer is shared.
fn question(request: &Request) -> Option<&str> {
    let uri = request.uri();
    let is_shared = request.method() == Method::GET
        && SHARED.contains(&uri.path())
        && uri.query().is_none_or(|query| query.len() <= LONGEST_QUERY);
    is_shared.then(|| {
        uri.path_and_query()
            .map_or(uri.path(), |both| both.as_str())
    })
}

/// The age that the request allows, if any.
fn allowed_age(headers: &HeaderMap) -> Option<Duration> {
    let value = headers
        .get(header::CACHE_CONTROL)
        .map(HeaderValue::to_str)?;
    let mut directives = value.ok()?.split(',').map(str::trim);
    let is_fresh = |directive: &str| {
        directive.eq_ignore_ascii_case("no-cache") || directive.eq_ignore_ascii_case("no-store")
    };
    if directives.clone().any(is_fresh) {
        return None;
    }
    let seconds = directives.find_map(|directive| {
        let (name, seconds) = directive.split_once('=')?;
        name.eq_ignore_ascii_case("max-age").then_some(seconds)
    })?;
    let age = Duration::from_secs(seconds.parse().ok()?).min(OLDEST);
    (!age.is_zero()).then_some(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Option<Duration> {
        let value = HeaderValue::from_str(value).unwrap();
        allowed_age(&HeaderMap::from_iter([(header::CACHE_CONTROL, value)]))
    }

    #[test]
    fn only_a_reader_that_allows_an_age_is_given_what_others_got() {
        assert_eq!(allowed_age(&HeaderMap::new()), None);
        for value in [
            "no-cache",
            "max-age",
            "max-age=0",
            "max-age=x",
            "max-age=-1",
            "s-maxage=3",
            "no-store, max-age=5",
            "max-age=5, No-Cache",
        ] {
            assert_eq!(asked(value), None, "{value}");
        }
        assert_eq!(asked("max-age=1"), Some(Duration::from_secs(1)));
        assert_eq!(
            asked("no-transform, Max-Age=2"),
            Some(Duration::from_secs(2))
        );
        assert_eq!(asked("max-age=86400"), Some(OLDEST));
    }

    #[test]
    fn an_answer_suits_while_it_is_young_and_nothing_has_happened_since() {
        let at = Instant::now();
        let answer = RecentAnswer {
            at,
            moment: (Revision(3), 7),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        let second = Duration::from_secs(1);
        assert!(answer.suits(at + second, second, (Revision(3), 7)));
        assert!(!answer.suits(at + second, second, (Revision(4), 7)));
        assert!(!answer.suits(at + second, second, (Revision(3), 8)));
        assert!(!answer.suits(at + second * 2, second, (Revision(3), 7)));
    }
}
