//! The loop by which the nodes of a fleet judge together: each names what it judges, counts for the others, and reads what
//! they have counted for it.
//!
//! While nothing is judged, nothing is written: each node waits for the first order.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Controller,
    figure_board::{AskedFigures, ToldFigures},
    figure_counter::FigureCounter,
    figure_documents::{
        COUNTED, FigureOrder, FigureSeries, JUDGED, MOST, decode, encode, marks_of_each,
    },
    rollout_cells::Cells,
    rollout_limits::Limits,
    rollout_track::Track,
    shared::Node,
};
use crate::{
    model::{Hashed, RouteSpec},
    shared_table::{Document, Documents, Expected, Lifetime, StoreError, Write},
};

/// Interval of the figures in a fleet of up to a hundred nodes; a second more for each further hundred.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time without a look at what is judged.
const LONGEST: Duration = Duration::from_secs(30);

/// The work of the loop.
#[derive(Debug, Default)]
struct FigureWork {
    /// Counters for other nodes, by their orders.
    counters: BTreeMap<u64, FigureCounter>,
    /// True if the store may have figures of this node.
    has_told: bool,
    /// Documents that cannot be read, each told once.
    unreadable: BTreeSet<String>,
}

impl Controller {
    /// Judges together with the other nodes for as long as it is polled. Cancelling it loses nothing.
    pub(super) async fn run_figures(&self) {
        let Some(node) = self.shared.node() else {
            return;
        };
        let mut work = FigureWork::default();
        loop {
            match self.share_figures(node, &mut work).await {
                Ok(Some(version)) => self.wait_for_orders(node, version).await,
                Ok(None) => tokio::time::sleep(self.figure_interval()).await,
                Err(error) => {
                    tracing::debug!(%error, "the figures of the fleet wait for the store");
                    tokio::time::sleep(self.figure_interval()).await;
                }
            }
        }
    }

    /// Waits until this node or another one may judge something.
    async fn wait_for_orders(&self, node: &Node, version: u64) {
        tokio::select! {
            changed = node.store.documents_changed(JUDGED, version) => {
                if changed.is_err() {
                    tokio::time::sleep(self.figure_interval()).await;
                }
            }
            () = self.figures.changed.notified() => {}
            () = tokio::time::sleep(LONGEST) => {}
        }
    }

    fn figure_interval(&self) -> Duration {
        interval(self.shared.state().nodes.len())
    }

    /// One look: what is judged, what was counted here for others, and what they have counted. The version of the store
    /// if nothing is judged anywhere.
    async fn share_figures(
        &self,
        node: &Node,
        work: &mut FigureWork,
    ) -> Result<Option<u64>, StoreError> {
        if self.log.history.is_released() {
            // Another process is this node now.
            *work = FigureWork::default();
            return Ok(None);
        }
        self.count_for_others(work).await;
        let judged = node.store.documents(JUDGED).await?;
        let own = self.figures.orders();
        tell_orders(node, &judged, &own).await?;
        let orders = work.orders_of_others(node, &judged);
        self.keep_counters(work, &orders);
        work.tell_counts(node).await?;
        let told = if own.is_empty() {
            ToldFigures::new()
        } else {
            let counted = node.store.documents(COUNTED).await?;
            work.figures_of_others(node, &counted)
        };
        self.figures.hear(told);
        let is_idle = own.is_empty() && orders.is_empty();
        Ok(is_idle.then_some(judged.version))
    }

    /// Adds what was counted since the last look, where the route is still as the order says.
    async fn count_for_others(&self, work: &mut FigureWork) {
        let most_marks = marks_of_each(work.counters.len());
        let mut ended = Vec::new();
        for (id, counter) in &mut work.counters {
            counter.reader.snapshot();
            let FigureOrder {
                route,
                canary,
                stable,
                ..
            } = &counter.order;
            let looked = self.look_in_flight(route, (canary, stable), &counter.reader);
            let looked = looked.await;
            if self.has_split(&counter.order)
                && counter.counts_at(self.route_changed(&counter.order))
            {
                counter.look(&looked, most_marks);
            } else {
                ended.push(*id);
            }
        }
        for id in ended {
            work.counters.remove(&id);
        }
    }

    /// Begins to count for new orders that this node is ready for, and ends what is not judged any more.
    fn keep_counters(&self, work: &mut FigureWork, orders: &[FigureOrder]) {
        let is_judged = |id: &u64| orders.iter().any(|order| order.id == *id);
        work.counters.retain(|id, _| is_judged(id));
        for order in orders.iter().take(MOST) {
            if !work.counters.contains_key(&order.id)
                && let Some(counter) = self.begin_counter(order)
            {
                work.counters.insert(order.id, counter);
            }
        }
    }

    /// A counter for an order; `None` until all workers of this node have taken up its split.
    fn begin_counter(&self, order: &FigureOrder) -> Option<FigureCounter> {
        let changed = self.route_changed(order);
        let live = self.table.load();
        let state = live.state();
        let route = state.spec.route(&order.route)?;
        let has_revision = {
            let shared = self.shared.state();
            shared.revision >= order.revision && shared.blocked.is_none()
        };
        let has_workers = self.table.waiting_for(live.revision()).is_empty();
        let is_ready = has_revision && has_workers && route.hash() == order.split;
        if !is_ready || self.figures.judges(&order.route) {
            return None;
        }
        let releases = (&order.canary, &order.stable);
        let cells = Cells::of(&self.fleet, &order.route, releases);
        let at = (live.revision(), changed);
        Some(FigureCounter::new(order.clone(), cells, route, at))
    }

    fn has_split(&self, order: &FigureOrder) -> bool {
        let state = self.table.load().state();
        let route = state.spec.route(&order.route);
        route.is_some_and(|route| route.hash() == order.split)
    }

    fn route_changed(&self, order: &FigureOrder) -> Option<crate::model::Revision> {
        self.log.index().route_changed(&order.route)
    }

    /// Asks the other nodes to count for a track, as its route is now; `None` on a proxy of its own.
    pub(super) fn ask_fleet(
        &self,
        track: &Track,
        route: &Hashed<RouteSpec>,
        limits: &Limits,
    ) -> Option<AskedFigures> {
        self.shared.node()?;
        let revision = self.shared.state().revision;
        Some(self.figures.ask(FigureOrder {
            id: rand::random(),
            route: track.route.clone(),
            canary: track.to.clone(),
            stable: track.from.clone(),
            split: route.hash(),
            revision,
            limits: limits.clone(),
        }))
    }
}

impl FigureWork {
    /// The orders of the other nodes.
    fn orders_of_others(&mut self, node: &Node, judged: &Documents) -> Vec<FigureOrder> {
        let others = of_others(node, JUDGED, judged);
        let orders = others.filter_map(|(name, document)| self.read(JUDGED, name, document));
        orders.flatten().collect()
    }

    fn figures_of_others(&mut self, node: &Node, counted: &Documents) -> ToldFigures {
        let others = of_others(node, COUNTED, counted);
        let figures = others.filter_map(|(name, document)| {
            let series = self.read(COUNTED, name, document)?;
            Some((name.to_owned(), series))
        });
        figures.collect()
    }

    /// Reads a document of another node. One that cannot be read is none, with an error in the log.
    fn read<T: serde::de::DeserializeOwned>(
        &mut self,
        folder: &str,
        node: &str,
        document: &Document,
    ) -> Option<Vec<T>> {
        match decode(&document.value) {
            Ok(all) => Some(all),
            Err(error) => {
                if self.unreadable.len() < MOST && self.unreadable.insert(document.name.clone()) {
                    tracing::error!(node, folder, %error, "a node of the fleet cannot be judged with: its document cannot be read");
                }
                None
            }
        }
    }

    /// Tells what was counted for others; nothing while nothing is.
    async fn tell_counts(&mut self, node: &Node) -> Result<(), StoreError> {
        let name = format!("{COUNTED}/{}", node.name);
        if self.counters.is_empty() {
            if self.has_told {
                node.store.remove(&name, Expected::Anything).await?;
                self.has_told = false;
            }
            return Ok(());
        }
        self.has_told = true;
        let series = self.counters.values().map(FigureCounter::series);
        let series: Vec<FigureSeries> = series.collect();
        tell(node, name, encode(&series)).await
    }
}

/// Names in the store what this node judges, if that is not what is there.
async fn tell_orders(
    node: &Node,
    judged: &Documents,
    own: &[FigureOrder],
) -> Result<(), StoreError> {
    let name = format!("{JUDGED}/{}", node.name);
    let told = judged.all.iter().find(|document| document.name == name);
    if own.is_empty() {
        if told.is_some() {
            node.store.remove(&name, Expected::Anything).await?;
        }
        return Ok(());
    }
    let value = encode(own);
    if told.is_some_and(|told| told.is_mine && told.value == value) {
        return Ok(());
    }
    tell(node, name, value).await
}

async fn tell(node: &Node, name: String, value: Vec<u8>) -> Result<(), StoreError> {
    let write = Write {
        name,
        value,
        lifetime: Lifetime::Node,
        expected: Expected::Anything,
    };
    node.store.write(write).await.map(drop)
}

/// The documents of the other nodes in a folder, with the names of those.
fn of_others<'a>(
    node: &Node,
    folder: &str,
    documents: &'a Documents,
) -> impl Iterator<Item = (&'a str, &'a Document)> {
    let all = documents.all.iter();
    let named = all.filter_map(move |document| {
        let name = document.name.strip_prefix(folder)?.strip_prefix('/')?;
        Some((name, document))
    });
    named.filter(|(name, _)| *name != node.name)
}

/// Time between two looks, so that a large fleet does not write more than a hundred documents a second.
fn interval(nodes: usize) -> Duration {
    let hundreds = u32::try_from(nodes.div_ceil(100)).unwrap_or(u32::MAX);
    LOOK * hundreds.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_fleet_tells_its_figures_less_often() {
        for (nodes, seconds) in [(0, 1), (3, 1), (100, 1), (101, 2), (1_000, 10)] {
            assert_eq!(interval(nodes), Duration::from_secs(seconds), "{nodes}");
        }
    }
}
