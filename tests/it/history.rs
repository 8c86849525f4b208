//! The undo stack, rollbacks and imports against models, restarts included.

use std::{
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use switchback::{
    api::{ConflictPolicy, Receipt},
    control::{ControlError, Expected, RollbackTo, Settings},
    history::{AppendError, FaultInjector, FaultPoint},
    model::{Actor, Author, Revision, TableDocument},
};

use crate::{
    controller_fixture::{
        ControllerFixture, author, change, document, folder, grouped, history_path, set_split,
    },
    support::wait_until,
};

#[derive(Debug, Clone)]
enum Step {
    Back,
    Disk(bool),
    Fact,
    One,
    Publish(bool, u32, Option<u8>),
    Restart,
    Route(bool),
    To(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let publish = (any::<bool>(), 0..=4_u32, prop::option::of(0..2_u8));
    let step = prop_oneof![
        6 => publish.prop_map(|(chat, green, group)| Step::Publish(chat, green, group)),
        3 => Just(Step::Back),
        1 => Just(Step::One),
        2 => Just(Step::Fact),
        2 => Just(Step::Restart),
        2 => any::<bool>().prop_map(Step::Disk),
        2 => any::<bool>().prop_map(Step::Route),
        2 => any::<prop::sample::Index>().prop_map(Step::To),
    ];
    prop::collection::vec(step, 1..25)
}

type Content = (u32, u32);

/// A decision: its weights of both routes, and for each route the previous decision with another split.
#[derive(Debug)]
struct Decision {
    content: Content,
    before: [Option<(Revision, Rc<Decision>)>; 2],
}

/// A decision by its revision, and its group.
#[derive(Debug, Clone)]
struct UndoEntry {
    revision: Revision,
    decision: Rc<Decision>,
    group: Option<u8>,
}

/// The expected state: the undo entries below the live decision, and every content by its revision.
#[derive(Debug)]
struct Model {
    levels: Vec<UndoEntry>,
    live: UndoEntry,
    // The live revision: that of the decision, or of a record after it.
    revision: Revision,
    all: Vec<(Revision, Content)>,
}

/// A store that refuses to commit while it is broken. The rollback journal is a file of its own.
fn failing(broken: &Arc<AtomicBool>) -> FaultInjector {
    let broken = Arc::clone(broken);
    Arc::new(move |moment| {
        if moment == FaultPoint::Commit && broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("no space left on device"));
        }
        Ok(())
    })
}

impl Model {
    fn content(&self) -> Content {
        self.live.decision.content
    }

    /// True if a step would be a publish, which needs the disk.
    fn is_publish(&self, step: &Step) -> bool {
        match step {
            Step::Publish(chat, green, _) => with(self.content(), *chat, *green) != self.content(),
            Step::Fact => true,
            Step::Back
            | Step::Disk(_)
            | Step::One
            | Step::Restart
            | Step::Route(_)
            | Step::To(_) => false,
        }
    }

    fn push(&mut self, content: Content, group: Option<u8>) {
        let replaced = self.live.clone();
        let before = [true, false].map(|chat| {
            if part(content, chat) == part(self.content(), chat) {
                replaced.decision.before[usize::from(chat)].clone()
            } else {
                Some((replaced.revision, Rc::clone(&replaced.decision)))
            }
        });
        let [of_chat, of_search] = before;
        let decision = Decision {
            content,
            before: [of_search, of_chat],
        };
        self.levels.push(replaced);
        self.go_live(Rc::new(decision), group);
    }

    /// Makes a decision live; its revision comes with the receipt.
    fn go_live(&mut self, decision: Rc<Decision>, group: Option<u8>) {
        self.live = UndoEntry {
            revision: Revision(0),
            decision,
            group,
        };
    }

    fn pop_to(&mut self, place: usize) {
        let UndoEntry {
            decision, group, ..
        } = self.levels[place].clone();
        self.levels.truncate(place);
        self.go_live(decision, group);
    }

    /// Runs a step; `false` if there is nothing to undo, `None` if nothing changes.
    fn step(&mut self, step: &Step) -> Option<bool> {
        match step {
            Step::Back => {
                let group = self.live.group;
                let same = |level: &UndoEntry| group.is_some() && level.group == group;
                let Some(place) = self.levels.iter().rposition(|level| !same(level)) else {
                    return Some(false);
                };
                self.pop_to(place);
            }
            Step::One => {
                let Some(place) = self.levels.len().checked_sub(1) else {
                    return Some(false);
                };
                self.pop_to(place);
            }
            Step::Publish(chat, green, group) => {
                let content = with(self.content(), *chat, *green);
                if content == self.content() {
                    return None;
                }
                self.push(content, *group);
            }
            Step::Disk(_) | Step::Restart => return None,
            Step::Fact => {}
            Step::Route(chat) => return Some(self.route(*chat)),
            Step::To(index) => return self.to(self.all[index.index(self.all.len())]),
        }
        Some(true)
    }

    fn route(&mut self, chat: bool) -> bool {
        let which = usize::from(chat);
        let Some((revision, earlier)) = self.live.decision.before[which].clone() else {
            return false;
        };
        let content = with(self.content(), chat, part(earlier.content, chat));
        let mut before = self.live.decision.before.clone();
        before[which].clone_from(&earlier.before[which]);
        self.levels.retain(|level| level.revision <= revision);
        self.levels
            .pop_if(|level| level.decision.content == content);
        self.go_live(Rc::new(Decision { content, before }), None);
        true
    }

    fn to(&mut self, (revision, content): (Revision, Content)) -> Option<bool> {
        if content == self.content() {
            return None;
        }
        let levels = self.levels.iter();
        let own = levels.clone().rposition(|level| level.revision == revision);
        let place = own.or_else(|| {
            levels
                .clone()
                .rposition(|level| level.decision.content == content)
        });
        match place {
            Some(place) => self.pop_to(place),
            None => self.push(content, None),
        }
        Some(true)
    }

    /// Sets the revision of a step, from its receipt.
    fn numbered(&mut self, step: &Step, revision: Revision) {
        if !matches!(step, Step::Fact) {
            self.live.revision = revision;
        }
        self.revision = revision;
        self.all.push((revision, self.content()));
    }
}

fn part((chat, search): Content, is_chat: bool) -> u32 {
    if is_chat { chat } else { search }
}

fn with((chat, search): Content, is_chat: bool, green: u32) -> Content {
    if is_chat {
        (green, search)
    } else {
        (chat, green)
    }
}

fn route(is_chat: bool) -> &'static str {
    if is_chat { "chat" } else { "search" }
}

/// A controller on a disk that can fail, and its expected state.
struct Run {
    folder: tempfile::TempDir,
    broken: Arc<AtomicBool>,
    fixture: Option<ControllerFixture>,
    model: Model,
}

impl Run {
    fn open(&mut self) {
        // The previous one has to be closed: a history has one owner.
        self.fixture = None;
        let hook = failing(&self.broken);
        let fixture = ControllerFixture::open_with(
            &history_path(&self.folder),
            Settings::default(),
            Some(hook),
        );
        self.fixture = Some(fixture);
    }

    fn fixture(&self) -> &ControllerFixture {
        self.fixture.as_ref().unwrap()
    }

    async fn ask(&self, step: &Step) -> Result<Receipt, ControlError> {
        let fixture = self.fixture();
        match step {
            Step::Publish(chat, green, group) => {
                let by = group.map_or_else(author, |group| grouped(&group.to_string()));
                let change = set_split(route(*chat), *green);
                fixture
                    .controller
                    .apply(change, by, Expected::Any, false)
                    .await
            }
            Step::Back => fixture.rollback().await,
            Step::One => fixture.rollback_to(RollbackTo::Step).await,
            Step::Route(chat) => {
                let route = route(*chat).parse().unwrap();
                fixture.rollback_to(RollbackTo::Route(route)).await
            }
            Step::To(index) => {
                let (revision, _) = self.model.all[index.index(self.model.all.len())];
                fixture.rollback_to(RollbackTo::Revision(revision)).await
            }
            Step::Fact => {
                let port = 2_000 + self.model.revision.0;
                let text = format!(
                    r#"{{"kind":"set_endpoints","release":"blue","endpoints":["http://127.0.0.1:{port}"]}}"#
                );
                fixture.try_apply(change(&text), Expected::Any).await
            }
            Step::Disk(_) | Step::Restart => unreachable!("these ask for nothing"),
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Disk(works) => {
                self.broken.store(!works, Ordering::SeqCst);
                // A write that began before may still fail after: only with nothing left to write it cannot.
                let well = || {
                    let durability = self.fixture().controller.status().durability;
                    durability.error.is_none() && durability.pending_records == 0
                };
                // A failing disk is noticed by a write; a healthy one on its own.
                wait_until("the disk is well again", || !works || well());
            }
            Step::Restart => self.open(),
            Step::Back
            | Step::Fact
            | Step::One
            | Step::Publish(..)
            | Step::Route(_)
            | Step::To(_) => {
                let refused = self.broken.load(Ordering::SeqCst) && self.model.is_publish(step);
                let result = self.ask(step).await;
                let expected = if refused { None } else { self.model.step(step) };
                self.compare(step, expected, result, refused)?;
            }
        }
        prop_assert_eq!(
            self.fixture().weights(),
            self.model.content(),
            "after {:?}",
            step
        );
        prop_assert_eq!(self.fixture().revision(), self.model.revision);
        let status = self.fixture().controller.status();
        prop_assert_eq!(status.rollback.depth, self.model.levels.len());
        Ok(())
    }

    fn compare(
        &mut self,
        step: &Step,
        expected: Option<bool>,
        result: Result<Receipt, ControlError>,
        refused: bool,
    ) -> Result<(), TestCaseError> {
        match (expected, result) {
            (Some(true), Ok(receipt)) => {
                prop_assert!(receipt.changed, "{:?}", receipt);
                prop_assert!(receipt.revision > self.model.all[self.model.all.len() - 1].0);
                self.model.numbered(step, receipt.revision);
                let durable = || self.fixture().controller.status().durability.durable;
                wait_until("the receipt is durable, if only by its slot", durable);
            }
            (Some(false), Err(ControlError::NothingToUndo)) => {}
            (None, Err(ControlError::NotDurable(AppendError::NotWritten(_)))) if refused => {}
            (None, Ok(receipt)) => prop_assert!(!receipt.changed),
            (expected, result) => {
                let wrong = format!("{step:?} gave {result:?}, not {expected:?}");
                return Err(TestCaseError::fail(wrong));
            }
        }
        Ok(())
    }
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut run = Run {
        folder: folder(),
        broken: Arc::default(),
        fixture: None,
        model: Model {
            levels: Vec::new(),
            live: UndoEntry {
                revision: Revision(1),
                decision: Rc::new(Decision {
                    content: (0, 0),
                    before: [None, None],
                }),
                group: None,
            },
            revision: Revision(1),
            all: vec![(Revision(1), (0, 0))],
        },
    };
    run.open();
    run.fixture().import_weights(0, 0).await;
    for step in steps {
        run.step(&step).await?;
    }
    Ok(())
}

fn check<S: Strategy>(
    strategy: &S,
    cases: u32,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config).run(strategy, test).unwrap();
}

fn on_a_runtime(
    work: impl Future<Output = Result<(), TestCaseError>>,
) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

#[test]
fn the_undo_stack_does_what_its_model_does_restarts_included() {
    check(&steps(), 64, |steps| on_a_runtime(run(steps)));
}

#[test]
fn apply_then_rollback_is_the_identity() {
    let splits = prop::collection::vec((any::<bool>(), 0..=100_u32), 1..10);
    check(&splits, 24, |splits| {
        on_a_runtime(async {
            let folder = folder();
            let fixture = ControllerFixture::with_weights(&history_path(&folder), 50, 50).await;
            let mut digests = vec![fixture.controller.live().digest()];
            for (chat, green) in splits {
                if fixture.split(route(chat), green).await.changed {
                    digests.push(fixture.controller.live().digest());
                }
            }
            while let Some(digest) = digests.pop() {
                prop_assert_eq!(fixture.controller.live().digest(), digest);
                prop_assert_eq!(fixture.rollback().await.is_ok(), !digests.is_empty());
            }
            Ok(())
        })
    });
}

fn file() -> Author {
    Author {
        actor: Actor::File,
        ..author()
    }
}

/// Edits of the file and of the live table, with imports between them. A weight of 101 means that there is no such
/// route.
#[derive(Debug, Clone)]
enum Edit {
    File(bool, u32),
    Import(Option<bool>),
    Live(bool, u32),
    Restart,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        4 => (any::<bool>(), 0..=3_u32).prop_map(|(chat, green)| Edit::File(chat, green)),
        4 => (any::<bool>(), 0..=3_u32).prop_map(|(chat, green)| Edit::Live(chat, green)),
        4 => prop::option::of(any::<bool>()).prop_map(Edit::Import),
        1 => Just(Edit::Restart),
    ];
    prop::collection::vec(edit, 1..20)
}

/// The merged value of one entry, or `None` if both sides changed it.
fn merged(base: u32, live: u32, file: u32, file_wins: Option<bool>) -> Option<u32> {
    if file == base || file == live {
        Some(live)
    } else if live == base {
        Some(file)
    } else {
        file_wins.map(|wins| if wins { file } else { live })
    }
}

fn policy(file_wins: bool) -> ConflictPolicy {
    if file_wins {
        ConflictPolicy::File
    } else {
        ConflictPolicy::Live
    }
}

async fn import(edits: Vec<Edit>) -> Result<(), TestCaseError> {
    let folder = folder();
    let mut fixture = ControllerFixture::open(&history_path(&folder));
    let (mut base, mut live, mut edited): (Content, Content, Content) = ((0, 0), (0, 0), (0, 0));
    // The file as it was last read, if it was not imported.
    let mut refused = None;
    let first = fixture
        .controller
        .import(document(0, 0), None, file(), Expected::Any, false)
        .await
        .unwrap();
    prop_assert!(first.first && first.receipt.is_some());
    for edit in edits {
        match edit {
            Edit::File(chat, green) => edited = with(edited, chat, green),
            Edit::Live(chat, green) => {
                live = with(live, chat, green);
                fixture.split(route(chat), green).await;
            }
            Edit::Restart => {
                drop(fixture);
                fixture = ControllerFixture::open(&history_path(&folder));
                refused = None;
            }
            Edit::Import(file_wins) => {
                let wins = file_wins.map(policy);
                let both = [true, false].map(|chat| {
                    merged(
                        part(base, chat),
                        part(live, chat),
                        part(edited, chat),
                        file_wins,
                    )
                });
                let document: TableDocument = document(edited.0, edited.1);
                let report = fixture
                    .controller
                    .import(document, wins, file(), Expected::Any, false)
                    .await
                    .unwrap();
                let conflicts = both.iter().filter(|side| side.is_none()).count();
                prop_assert_eq!(report.conflicts.len(), conflicts, "{:?}", report);
                if let [Some(chat), Some(search)] = both {
                    prop_assert_eq!(report.receipt.is_some(), (chat, search) != live);
                    (base, live, refused) = (edited, (chat, search), None);
                } else {
                    prop_assert!(report.receipt.is_none());
                    refused = Some(edited);
                }
                let same = live == refused.unwrap_or(base);
                prop_assert_eq!(report.drift.is_empty(), same, "{:?}", report);
            }
        }
        prop_assert_eq!(fixture.weights(), live);
        let drift = fixture.controller.status().drift;
        prop_assert_eq!(drift.drifted, live != refused.unwrap_or(base));
        prop_assert_eq!(drift.refused, refused.is_some());
    }
    Ok(())
}

#[test]
fn an_edited_file_is_merged_as_its_model_says_restarts_included() {
    check(&edits(), 48, |edits| on_a_runtime(import(edits)));
}
