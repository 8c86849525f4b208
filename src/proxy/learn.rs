//! Learning from the bodies of responses, on routes whose agents speak MCP or A2A: ids of tasks and contexts, and what
//! client and server agree on when a session of MCP begins.
//!
//! A copy of the first bytes of a response is read beside its relay: a JSON body, or the events of a stream. An id is
//! learned before the frame that completes its message goes on, so it is known before a client can use it.

use crate::fleet::{LearnedPin, LearnedPins};
use crate::model::AgentProtocol;
use crate::telemetry::names;

use super::agent_ids;
use super::body_form::BodyForm;
use super::event_stream::{data_of, next_event};
use super::io::{BodyFrame, BodySource};
use super::mcp_start::{LONGEST_RESPONSE, SessionStart};
use super::mirror::Chosen;
use super::pins::now_seconds;
use super::stage::Committed;

/// Bytes of a response that ids are looked for in.
const LONGEST: usize = 16 * 1024;
/// Times that an unfinished JSON body is parsed: it may be complete before its last frame comes.
const ATTEMPTS: u32 = 4;

/// A body that is learned from while it is relayed, if it has a form for that, and kept for a mirror, if it is compared.
pub(super) struct LearningSource<'s, S> {
    source: &'s mut S,
    learner: Option<Learner<'s>>,
    mirrored: Option<&'s Chosen>,
}

/// Reader of the messages at the start of a body.
struct Learner<'s> {
    committed: Committed<'s>,
    protocol: AgentProtocol,
    form: BodyForm,
    start: Vec<u8>,
    /// Bytes that are still looked at.
    left: usize,
    attempts: u32,
    is_done: bool,
}

// === impl LearningSource ===

impl<'s, S> LearningSource<'s, S> {
    /// Wraps the body of a response.
    pub(super) fn new(
        source: &'s mut S,
        committed: Committed<'s>,
        forms: Option<(AgentProtocol, BodyForm)>,
    ) -> Self {
        let start = session_start(committed);
        let longest = start.map_or(LONGEST, |_| LONGEST_RESPONSE);
        let learner = |(protocol, form)| Learner {
            committed,
            protocol,
            form,
            start: Vec::new(),
            left: longest,
            attempts: 0,
            is_done: false,
        };
        Self {
            source,
            learner: forms.map(learner),
            mirrored: kept_for_mirror(committed),
        }
    }
}

impl<S: BodySource> BodySource for LearningSource<'_, S> {
    type Error = S::Error;

    async fn next_frame(&mut self) -> Result<BodyFrame<'_>, S::Error> {
        let frame = self.source.next_frame().await?;
        if let Some(learner) = &mut self.learner {
            learner.read(frame.data, frame.last);
        }
        if let Some(mirrored) = self.mirrored {
            mirrored.read_answer(frame.data);
        }
        Ok(frame)
    }

    fn is_ready(&mut self) -> bool {
        self.source.is_ready()
    }
}

// === impl Learner ===

impl Learner<'_> {
    fn read(&mut self, data: &[u8], last: bool) {
        if self.is_done {
            return;
        }
        let is_cut = data.len() > self.left;
        let data = &data[..data.len().min(self.left)];
        self.left -= data.len();
        self.start.extend_from_slice(data);
        match self.form {
            BodyForm::Events => self.read_events(),
            BodyForm::Json if is_cut => {}
            BodyForm::Json => self.read_json(last),
        }
        if is_cut || last {
            self.is_done = true;
        }
        if self.is_done {
            self.start = Vec::new();
        }
    }

    fn read_json(&mut self, last: bool) {
        let looks_whole = self.start.trim_ascii_end().ends_with(b"}");
        if last || looks_whole && self.attempts < ATTEMPTS {
            self.attempts += 1;
            let message = std::mem::take(&mut self.start);
            self.learn(&message);
            self.start = message;
        }
    }

    /// Reads the events that are complete, and keeps the rest.
    fn read_events(&mut self) {
        let start = std::mem::take(&mut self.start);
        let mut rest = &start[..];
        while let Some((event, after)) = next_event(rest) {
            if let Some(message) = data_of(event) {
                self.learn(&message);
            }
            rest = after;
        }
        self.start = rest.to_vec();
    }

    fn learn(&mut self, message: &[u8]) {
        let Committed { context, selected } = self.committed;
        if let Some(start) = session_start(self.committed) {
            let sessions = &context.worker.shared.mcp_sessions;
            self.is_done = start.agree(message, sessions);
            return;
        }
        let learned = &context.worker.shared.learned;
        let minted = selected.minted(context.session.get());
        let pin = LearnedPin {
            release: minted.release,
            endpoint: minted.endpoint,
        };
        let route = selected.route().spec().name.as_str();
        let mut is_done = false;
        agent_ids::of_response(self.protocol, message, |minted| {
            learn_one(learned, route, minted, pin);
            is_done = true;
        });
        self.is_done |= is_done;
    }
}

/// The mirrored request whose response is kept, if it is.
pub(super) fn kept_for_mirror(committed: Committed<'_>) -> Option<&Chosen> {
    let mirrored = committed.context.mirrored.as_deref();
    mirrored.filter(|mirrored| mirrored.keeps_answer())
}

/// The session that the response begins, if it does.
fn session_start(committed: Committed<'_>) -> Option<&SessionStart> {
    let start = committed.context.session_start.as_deref();
    start.filter(|start| start.has_begun())
}

fn learn_one(learned: &LearnedPins, route: &str, minted: agent_ids::MintedId<'_>, pin: LearnedPin) {
    let evicts = learned.learn(
        route,
        minted.id.as_bytes(),
        pin,
        (now_seconds(), minted.seconds),
    );
    if evicts {
        metrics::counter!(names::LEARNED_IDS_EVICTED.0).increment(1);
    }
}
