//! Supervisor of the checks: a task for each roster, and one for each of its endpoints.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::{
    sync::{Semaphore, watch},
    task::{AbortHandle, spawn_local},
    time::sleep,
};
use tracing::info;

use super::{check::Target, error::CheckError, hysteresis::Hysteresis};
use crate::{
    config,
    fleet::{Endpoint, Fleet, Health, Roster, WatchedRelease},
    model::HealthSpec,
    telemetry::ErrorChain,
};

/// A task that ends with its owner.
struct AbortOnDrop(AbortHandle);

/// A roster with running checks.
struct Checked {
    /// The watched release as it was when its checks began.
    watched: WatchedRelease,
    plan: Rc<Plan>,
    _task: AbortOnDrop,
}

/// Check settings for the endpoints of a roster.
struct Plan {
    roster: Arc<Roster>,
    health: HealthSpec,
    target: RefCell<Rc<Target>>,
    permits: Rc<Semaphore>,
}

/// Checks all watched releases until it is dropped, and reloads the files of TLS settings on each of `reloads`. Needs
/// a [`LocalSet`](tokio::task::LocalSet).
pub async fn run(
    fleet: Arc<Fleet>,
    settings: config::HealthChecks,
    mut reloads: watch::Receiver<u64>,
) {
    let permits = Rc::new(Semaphore::new(settings.concurrency));
    let mut changes = fleet.subscribe();
    let mut checked: Vec<Checked> = Vec::new();
    loop {
        changes.mark_unchanged();
        let wanted = wanted(&fleet.watched());
        let stays = |one: &Checked| {
            let same = |other: &&WatchedRelease| Arc::ptr_eq(&one.watched.roster, &other.roster);
            wanted.iter().find(same).map(|other| other.spec.hash())
        };
        checked.retain(|one| {
            let now = stays(one);
            if now.is_none() {
                unwatch(&one.watched.roster);
            }
            now == Some(one.watched.spec.hash())
        });
        for one in &wanted {
            if !checked
                .iter()
                .any(|other| Arc::ptr_eq(&other.watched.roster, &one.roster))
            {
                checked.extend(begin(one, &permits));
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            Ok(()) = reloads.changed() => checked.iter().for_each(Checked::reload),
        }
    }
}

/// Rosters to check. One that is watched for several reasons is checked with its first spec: live comes before warm.
fn wanted(watched: &[WatchedRelease]) -> Vec<WatchedRelease> {
    let mut by_role: Vec<&WatchedRelease> = watched.iter().collect();
    by_role.sort_by_key(|one| one.role);
    let mut wanted: Vec<WatchedRelease> = Vec::new();
    for one in by_role {
        if !wanted
            .iter()
            .any(|other| Arc::ptr_eq(&other.roster, &one.roster))
        {
            wanted.push(one.clone());
        }
    }
    wanted.retain(|one| one.spec.health.is_some());
    wanted
}

/// Resets the health of endpoints that are no longer checked.
fn unwatch(roster: &Roster) {
    for endpoint in roster.endpoints().iter() {
        endpoint.set_health(Health::Unknown);
    }
}

impl Checked {
    fn reload(&self) {
        self.plan.target.replace(target(&self.watched));
    }
}

fn target(watched: &WatchedRelease) -> Rc<Target> {
    Rc::new(Target::new(&watched.spec, &watched.urls))
}

fn begin(watched: &WatchedRelease, permits: &Rc<Semaphore>) -> Option<Checked> {
    let plan = Rc::new(Plan {
        roster: Arc::clone(&watched.roster),
        health: watched.spec.health.clone()?,
        target: RefCell::new(target(watched)),
        permits: Rc::clone(permits),
    });
    let task = spawn_local(supervise(Rc::clone(&plan)));
    Some(Checked {
        watched: watched.clone(),
        plan,
        _task: AbortOnDrop(task.abort_handle()),
    })
}

/// Runs one task for each endpoint of the roster.
async fn supervise(plan: Rc<Plan>) {
    let mut changes = plan.roster.subscribe();
    let mut tasks: HashMap<usize, (Arc<Endpoint>, AbortOnDrop)> = HashMap::new();
    loop {
        changes.mark_unchanged();
        let endpoints = plan.roster.endpoints();
        // Endpoints are identified by their pointer: each stays alive as long as its task.
        let place = |endpoint: &Arc<Endpoint>| Arc::as_ptr(endpoint).addr();
        let mut before = std::mem::take(&mut tasks);
        for endpoint in endpoints.iter() {
            let task = before.remove(&place(endpoint)).unwrap_or_else(|| {
                let task = spawn_local(check_loop(Arc::clone(endpoint), Rc::clone(&plan)));
                (Arc::clone(endpoint), AbortOnDrop(task.abort_handle()))
            });
            tasks.insert(place(endpoint), task);
        }
        drop(before);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn check_loop(endpoint: Arc<Endpoint>, plan: Rc<Plan>) {
    let HealthSpec { rise, fall, .. } = plan.health;
    let mut streak = Hysteresis::new(endpoint.health(), rise, fall);
    let mut rng = SmallRng::from_rng(&mut rand::rng());
    loop {
        let result = check_once(&endpoint, &plan).await;
        if let Some(health) = streak.observe(result.is_ok()) {
            endpoint.set_health(health);
            report(&plan.roster, &endpoint, health, result.as_ref().err());
        }
        sleep(varied(streak.pause(plan.health.interval.0), rng.random())).await;
    }
}

async fn check_once(endpoint: &Endpoint, plan: &Plan) -> Result<(), CheckError> {
    let _permit = plan.permits.acquire().await;
    let target = Rc::clone(&plan.target.borrow());
    let check = target.check(endpoint, &plan.health);
    let timeout = plan.health.timeout.0;
    tokio::time::timeout(timeout, check)
        .await
        .unwrap_or(Err(CheckError::TimedOut(timeout)))
}

fn report(roster: &Roster, endpoint: &Endpoint, health: Health, error: Option<&CheckError>) {
    let reason = error.map_or_else(
        || "checks pass".into(),
        |error| ErrorChain(error).to_string(),
    );
    info!(
        release = %roster.release(),
        version = %roster.version(),
        endpoint = %endpoint.url(),
        address = %endpoint.address(),
        health = health.as_str(),
        %reason,
        "health changed"
    );
}

/// The interval, plus or minus a tenth, by a random number from 0 to 1.
fn varied(interval: Duration, draw: f64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * draw)
}

// === impl AbortOnDrop ===

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::RosterRole,
        model::{Hashed, ReleaseName, ReleaseSpec, Version},
    };

    #[test]
    fn intervals_vary_by_a_tenth() {
        let second = Duration::from_secs(1);
        assert_eq!(varied(second, 0.0), Duration::from_millis(900));
        assert_eq!(varied(second, 0.5), second);
        assert!(varied(second, 0.999) < Duration::from_millis(1_100));
    }

    #[test]
    fn a_roster_is_checked_once_and_as_the_live_release_says() {
        let fleet = Fleet::new(1);
        let roster = fleet.roster(&ReleaseName::new("blue").unwrap(), &Version::default());
        let watched = |role, path: Option<&str>| WatchedRelease {
            roster: Arc::clone(&roster),
            spec: Arc::new(Hashed::new(ReleaseSpec {
                health: path
                    .map(|path| serde_json::from_str(&format!(r#"{{"path":"{path}"}}"#)).unwrap()),
                ..ReleaseSpec::default()
            })),
            urls: Arc::from([]),
            role,
        };
        let both = [
            watched(RosterRole::Warm, Some("/old")),
            watched(RosterRole::Live, Some("/new")),
        ];
        let wanted_now = wanted(&both);
        assert_eq!(wanted_now.len(), 1);
        assert_eq!(wanted_now[0].spec.health.as_ref().unwrap().path, "/new");
        let both = [
            watched(RosterRole::Warm, Some("/old")),
            watched(RosterRole::Live, None),
        ];
        assert!(wanted(&both).is_empty(), "the live release wants no checks");
    }
}
