//! The mechanism of a drill leaves no trace in what rollbacks do: two controllers get the same calls, one of them drills
//! in between, and both are always in the same state.

use switchback::{
    api::{Drill, DrillRequest, DrillState},
    control::{ControlError, Expected, RollbackTo},
    model::{Cause, Change, DrillLevel, Revision},
};

use crate::{
    controller_fixture::{
        ControllerFixture, author, change, folder, grouped, history_path, set_split,
    },
    support::random::Random,
};

/// One call, made on both controllers.
#[derive(Debug, Clone)]
enum Call {
    Split(&'static str, u32),
    Grouped(u32),
    Endpoint(u64),
    Previous,
    Step,
    Route(&'static str),
}

impl Call {
    fn of(random: &mut Random) -> Self {
        let route = if random.below(2) == 0 {
            "chat"
        } else {
            "search"
        };
        let percent = u32::try_from(random.below(100)).unwrap();
        match random.below(10) {
            0..4 => Self::Split(route, percent),
            4 => Self::Grouped(percent),
            5 => Self::Endpoint(u64::from(percent) + 2_000),
            6 | 7 => Self::Previous,
            8 => Self::Step,
            _ => Self::Route(route),
        }
    }

    /// Makes the call; the weights that it leads to, or its error.
    async fn make(&self, on: &ControllerFixture) -> Result<(u32, u32), String> {
        let made = match self {
            Self::Split(route, percent) => {
                on.try_apply(set_split(route, *percent), Expected::Any)
                    .await
            }
            Self::Grouped(percent) => {
                let change = set_split("chat", *percent);
                let by = grouped("trial");
                on.controller.apply(change, by, Expected::Any, false).await
            }
            Self::Endpoint(port) => on.try_apply(endpoint(*port), Expected::Any).await,
            Self::Previous => on.rollback().await,
            Self::Step => on.rollback_to(RollbackTo::Step).await,
            Self::Route(route) => {
                on.rollback_to(RollbackTo::Route(route.parse().unwrap()))
                    .await
            }
        };
        made.map(|_| on.weights())
            .map_err(|error| error.to_string())
    }
}

fn endpoint(port: u64) -> Change {
    change(&format!(
        r#"{{"kind":"set_endpoints","release":"green","endpoints":["http://127.0.0.1:{port}"]}}"#
    ))
}

async fn drill(on: &ControllerFixture) -> Drill {
    let request = DrillRequest {
        route: "chat".parse().unwrap(),
        level: DrillLevel::Mechanism,
        share: None,
        period: None,
        visible: false,
        message: None,
    };
    let drill = on.controller.start_drill(request, "test".to_owned()).await;
    let drill = drill.unwrap();
    assert_eq!(drill.state, DrillState::Passed, "{drill:#?}");
    drill
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

#[test]
fn rollbacks_go_where_they_would_have_gone_without_drills_restarts_included() {
    for seed in 1..=12 {
        let mut random = Random(seed);
        let folders = [folder(), folder()];
        let open = || {
            folders
                .each_ref()
                .map(|folder| ControllerFixture::open(&history_path(folder)))
        };
        let mut pair = open();
        block_on(async {
            for one in &pair {
                one.import_weights(10, 20).await;
            }
        });
        let mut calls = Vec::new();
        for _ in 0..25 {
            let call = Call::of(&mut random);
            calls.push(call.clone());
            let (one, other) = block_on(async {
                if random.below(2) == 0 {
                    drill(&pair[1]).await;
                }
                (call.make(&pair[0]).await, call.make(&pair[1]).await)
            });
            assert_eq!(one, other, "seed {seed}: {calls:?}");
            if random.below(6) == 0 {
                for one in &pair {
                    one.controller.close(std::time::Duration::from_secs(5));
                }
                drop(pair);
                pair = open();
            }
        }
        block_on(async {
            loop {
                let call = Call::Previous;
                let (one, other) = (call.make(&pair[0]).await, call.make(&pair[1]).await);
                assert_eq!(one, other, "seed {seed}, at the end: {calls:?}");
                if one.is_err() {
                    break;
                }
            }
        });
    }
}

#[test]
fn a_drill_makes_no_base_out_of_date_and_a_change_beside_it_does() {
    let folder = folder();
    block_on(async {
        let fixture = ControllerFixture::with_weights(&history_path(&folder), 10, 20).await;
        fixture.split("chat", 30).await;
        let base = fixture.revision();
        let report = drill(&fixture).await;
        assert_eq!(fixture.revision(), Revision(base.0 + 2));
        let revisions: Vec<_> = report.steps.iter().map(|step| step.revision).collect();
        assert_eq!(revisions, [Revision(base.0 + 1), Revision(base.0 + 2)]);
        let whole = fixture.controller.rollback(
            RollbackTo::Previous,
            author(),
            Expected::Unchanged(base),
            false,
        );
        let receipt = whole.await.unwrap();
        assert_eq!((receipt.undid, fixture.weights()), (vec![base], (10, 20)));
        let base = fixture.revision();
        fixture.split("search", 50).await;
        drill(&fixture).await;
        let whole = fixture.controller.rollback(
            RollbackTo::Previous,
            author(),
            Expected::Unchanged(base),
            false,
        );
        let Err(ControlError::Stale { since, .. }) = whole.await else {
            panic!("the base is out of date");
        };
        let is_change = |cause: &Cause| *cause == Cause::Publish;
        assert!(since.iter().any(|one| is_change(&one.cause)), "{since:?}");
    });
}

#[test]
fn drills_are_in_the_history_as_what_they_are_and_are_no_change_of_their_route() {
    let folder = folder();
    block_on(async {
        let fixture = ControllerFixture::with_weights(&history_path(&folder), 10, 20).await;
        let grouped_change = fixture.controller.apply(
            set_split("chat", 40),
            grouped("trial"),
            Expected::Any,
            false,
        );
        let base = grouped_change.await.unwrap().revision;
        let report = drill(&fixture).await;
        let page = fixture.controller.revisions(None, 3);
        let causes: Vec<_> = page.revisions.iter().map(|one| one.cause.clone()).collect();
        let back = Cause::Drill { to: Some(base) };
        assert_eq!(causes, [back, Cause::Drill { to: None }, Cause::Publish]);
        for one in &page.revisions[..2] {
            assert_eq!(one.author.name, format!("drill {}", report.id));
            assert_eq!(one.author.group.as_deref(), Some("trial"));
            assert_eq!(one.digest, page.revisions[2].digest);
        }
        let undoable = page.revisions.iter().map(|one| (one.live, one.undoable));
        let undoable: Vec<_> = undoable.collect();
        assert_eq!(undoable, [(true, true), (false, false), (false, true)]);
        let routes = fixture.controller.status().routes;
        assert_eq!(routes[0].changed_by, Some(base));
        let last = routes[0].drill.as_ref().unwrap();
        assert_eq!((&last.id, last.passed), (&report.id, true));
    });
}
