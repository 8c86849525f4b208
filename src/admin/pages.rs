//! Large responses: rendered off the threads that apply changes, and once for all concurrent requests.

use std::sync::Arc;

use tokio::{sync::Semaphore, task};

use super::{
    error::ApiError, page::Page, rendered_routes::RenderedRoutes, shared_page::SharedPage,
};
use crate::{
    api::{FlagList, ReleaseList, RouteList},
    control::{Controller, StatusPart},
    model::{Hashed, RouteSpec, TableDocument},
};

/// Threads for queries of single requests.
const LOOKING: usize = 2;

/// The large responses of the API.
#[derive(Clone)]
pub(super) struct Pages {
    pub(super) flags: Arc<SharedPage>,
    pub(super) releases: Arc<SharedPage>,
    pub(super) routes: Arc<SharedPage>,
    pub(super) status: Arc<SharedPage>,
    pub(super) brief_status: Arc<SharedPage>,
    pub(super) table: Arc<SharedPage>,
    looking: Arc<Semaphore>,
}

impl Pages {
    pub(super) fn of(controller: &Arc<Controller>) -> Self {
        let by_revision = |render: fn(&Controller) -> Page| {
            let (shown, controller) = (Arc::clone(controller), Arc::clone(controller));
            Arc::new(SharedPage::of_revision(
                move || shown.live().revision(),
                move || render(&controller),
            ))
        };
        let (whole, brief) = (Arc::clone(controller), Arc::clone(controller));
        let rendered = RenderedRoutes::default();
        Self {
            flags: by_revision(flags),
            releases: by_revision(releases),
            routes: by_revision(routes),
            table: by_revision(table),
            status: Arc::new(SharedPage::of_now(move || status(&whole, &rendered))),
            brief_status: Arc::new(SharedPage::of_now(move || brief_status(&brief))),
            looking: Arc::new(Semaphore::new(LOOKING)),
        }
    }

    /// Runs a query on a thread that no change needs.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(&self.looking).acquire_owned().await;
        let found = task::spawn_blocking(move || {
            let _permit = permit;
            look()
        });
        found.await.map_err(|error| {
            tracing::error!(%error, "a query failed");
            ApiError::internal()
        })
    }
}

fn status(controller: &Controller, rendered: &RenderedRoutes) -> Page {
    let live = controller.live();
    let status = controller.status_of(&live, &StatusPart::WithoutRoutes);
    let facts = |routes: &[Arc<Hashed<RouteSpec>>]| {
        controller.route_facts(routes.iter().map(|route| &route.name))
    };
    let routes = rendered.of(live.compiled().spec().routes(), facts);
    Page::json_around(Some(status.revision), &status, "routes", routes)
}

fn brief_status(controller: &Controller) -> Page {
    let status = controller.status_of(&controller.live(), &StatusPart::Brief);
    Page::json(Some(status.revision), &status)
}

fn table(controller: &Controller) -> Page {
    let live = controller.live();
    Page::json(Some(live.revision()), &TableDocument::of(&live.state()))
}

fn flags(controller: &Controller) -> Page {
    let live = controller.live();
    let list = FlagList {
        revision: live.revision(),
        flags: TableDocument::of(&live.state()).flags,
    };
    Page::json(Some(live.revision()), &list)
}

fn releases(controller: &Controller) -> Page {
    let live = controller.live();
    let list = ReleaseList {
        revision: live.revision(),
        releases: TableDocument::of(&live.state()).releases,
    };
    Page::json(Some(live.revision()), &list)
}

fn routes(controller: &Controller) -> Page {
    let live = controller.live();
    let state = live.state();
    let list = RouteList {
        revision: live.revision(),
        routes: state
            .spec
            .routes()
            .iter()
            .map(|route| (***route).clone())
            .collect(),
    };
    Page::json(Some(live.revision()), &list)
}
