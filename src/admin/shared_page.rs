//! Shared rendering for concurrent requests.
//!
//! Rendering metrics or the status of ten thousand routes takes long and makes megabytes. It is done on a thread of its
//! own, never on those that apply changes, one at a time, for at most a quarter of that thread's time. At most [`MOST`]
//! renderings are in memory, however many clients do not read theirs.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task, time};

use super::{error::ApiError, page::Page};
use crate::model::Revision;

/// Most renderings in memory.
const MOST: usize = 4;

/// Maximum age of a rendering when there are that many. Below that number, it is never older than the request.
const STALE: Duration = Duration::from_secs(5);

/// Pause after each rendering, as a multiple of its duration.
const PAUSE: u32 = 3;

type Render = Arc<dyn Fn() -> Page + Send + Sync>;
type Shown = Arc<dyn Fn() -> Revision + Send + Sync>;

/// A page that is rendered on request, and shared.
pub(super) struct SharedPage {
    render: Render,
    // For content that depends on a revision alone: the revision that a rendering must show.
    shown: Option<Shown>,
    waiting: AtomicUsize,
    renderings: tokio::sync::Mutex<Renderings>,
}

#[derive(Default)]
struct Renderings {
    alive: Vec<Rendering>,
    // The latest, for waiting requests: the client that it was rendered for may have read it all already.
    held: Option<Arc<Page>>,
    not_before: Option<Instant>,
}

struct Rendering {
    begun: Instant,
    page: Weak<Page>,
}

/// A waiting request.
struct Waiting<'a>(&'a SharedPage);

impl SharedPage {
    /// A page of the current state.
    pub(super) fn of_now(render: impl Fn() -> Page + Send + Sync + 'static) -> Self {
        Self::new(Arc::new(render), None)
    }

    /// A page that is valid as long as `shown` does not change.
    pub(super) fn of_revision(
        shown: impl Fn() -> Revision + Send + Sync + 'static,
        render: impl Fn() -> Page + Send + Sync + 'static,
    ) -> Self {
        Self::new(Arc::new(render), Some(Arc::new(shown)))
    }

    fn new(render: Render, shown: Option<Shown>) -> Self {
        Self {
            render,
            shown,
            waiting: AtomicUsize::new(0),
            renderings: tokio::sync::Mutex::default(),
        }
    }

    /// A rendering that began after this call, or shows the same; a slightly older one while many are still being read.
    pub(super) async fn get(&self) -> Result<Arc<Page>, ApiError> {
        let asked = Instant::now();
        let waiting = Waiting::of(self);
        let mut renderings = self.renderings.lock().await;
        drop(waiting);
        let page = self.get_among(&mut renderings, asked).await;
        let latest = page.as_ref().ok().filter(|_| self.is_wanted());
        renderings.held = latest.cloned();
        page
    }

    /// True if the latest rendering is kept without readers: for waiting requests, or for as long as it is valid.
    fn is_wanted(&self) -> bool {
        self.shown.is_some() || self.waiting.load(Ordering::Relaxed) > 0
    }

    async fn get_among(
        &self,
        renderings: &mut Renderings,
        asked: Instant,
    ) -> Result<Arc<Page>, ApiError> {
        if let Some(page) = renderings.suitable(asked, Instant::now(), self.shown.as_deref()) {
            return Ok(page);
        }
        if let Some(moment) = renderings.not_before {
            time::sleep_until(moment.into()).await;
        }
        let (begun, render) = (Instant::now(), Arc::clone(&self.render));
        let page = task::spawn_blocking(move || Arc::new(render())).await;
        let page = page.map_err(|error| {
            tracing::error!(%error, "a response could not be rendered");
            ApiError::internal()
        })?;
        renderings.not_before = Some(Instant::now() + PAUSE * begun.elapsed());
        renderings.add(begun, &page);
        Ok(page)
    }
}

impl<'a> Waiting<'a> {
    fn of(page: &'a SharedPage) -> Self {
        page.waiting.fetch_add(1, Ordering::Relaxed);
        Self(page)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        // A cancelled request leaves nothing behind. If another one is rendering, it cleans up at its end.
        if let Ok(mut renderings) = self.0.renderings.try_lock()
            && !self.0.is_wanted()
        {
            renderings.held = None;
        }
    }
}

impl Renderings {
    /// A valid rendering, if there is one.
    fn suitable(
        &mut self,
        asked: Instant,
        now: Instant,
        shown: Option<&(dyn Fn() -> Revision + Send + Sync)>,
    ) -> Option<Arc<Page>> {
        self.alive.retain(|old| old.page.strong_count() > 0);
        let latest = self.alive.last()?;
        let page = latest.page.upgrade()?;
        let crowded = self.alive.len() >= MOST;
        let suits = match shown {
            Some(shown) => page.revision() == Some(shown()),
            None => {
                latest.begun >= asked
                    || crowded && now.saturating_duration_since(latest.begun) < STALE
            }
        };
        suits.then_some(page)
    }

    /// Adds a new one. Beyond the maximum the oldest is revoked.
    fn add(&mut self, begun: Instant, page: &Arc<Page>) {
        while self.alive.len() >= MOST {
            if let Some(page) = self.alive.remove(0).page.upgrade() {
                page.revoke();
            }
        }
        self.alive.push(Rendering {
            begun,
            page: Arc::downgrade(page),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn counted() -> (Arc<AtomicU64>, SharedPage) {
        let count = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&count);
        let page = SharedPage::of_now(move || {
            let number = counting.fetch_add(1, Ordering::Relaxed) + 1;
            Page::json(Some(Revision(number)), &number)
        });
        (count, page)
    }

    #[tokio::test]
    async fn who_asks_alone_gets_what_is_so_now() {
        let (_, page) = counted();
        for number in 1..=10 {
            assert_eq!(page.get().await.unwrap().revision(), Some(Revision(number)));
        }
    }

    #[tokio::test]
    async fn who_asks_while_another_is_waited_for_shares_the_next() {
        let (count, page) = counted();
        let all = futures_util::future::join_all((0..50).map(|_| page.get())).await;
        assert_eq!(all.len(), 50);
        assert!(count.load(Ordering::Relaxed) <= 2);
    }

    #[tokio::test]
    async fn who_waits_gets_a_rendering_that_others_have_read_to_its_end() {
        let (count, page) = counted();
        let read = || async { drop(page.get().await.unwrap()) };
        futures_util::future::join_all((0..50).map(|_| read())).await;
        assert!(count.load(Ordering::Relaxed) <= 2);
        let renderings = page.renderings.lock().await;
        assert!(renderings.held.is_none(), "nobody waits any more");
    }

    #[tokio::test]
    async fn renderings_that_nobody_reads_are_few_and_the_oldest_goes_for_a_new_one() {
        let (count, page) = counted();
        let mut held = Vec::new();
        for _ in 0..100 {
            held.push(page.get().await.unwrap());
        }
        assert_eq!(count.load(Ordering::Relaxed), MOST as u64);
        let later = Instant::now() + STALE;
        let mut renderings = page.renderings.lock().await;
        assert!(renderings.suitable(later, later, None).is_none());
        renderings.add(later, &held[0]);
        assert!(held[0].is_revoked() && !held[1].is_revoked());
        assert_eq!(renderings.alive.len(), MOST);
    }

    #[tokio::test]
    async fn what_a_revision_decides_is_rendered_once_for_it() {
        let live = Arc::new(AtomicU64::new(1));
        let (shown, rendered) = (Arc::clone(&live), Arc::clone(&live));
        let revision = move || Revision(shown.load(Ordering::Relaxed));
        let page = SharedPage::of_revision(revision, move || {
            Page::json(Some(Revision(rendered.load(Ordering::Relaxed))), &())
        });
        let (first, again) = (page.get().await.unwrap(), page.get().await.unwrap());
        assert!(Arc::ptr_eq(&first, &again));
        let weak = Arc::downgrade(&first);
        drop((first, again));
        let later = page.get().await.unwrap();
        assert!(
            weak.upgrade()
                .is_some_and(|first| Arc::ptr_eq(&first, &later))
        );
        live.store(2, Ordering::Relaxed);
        assert_eq!(page.get().await.unwrap().revision(), Some(Revision(2)));
    }
}
