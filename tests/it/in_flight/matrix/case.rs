//! The kinds of work, and the cases: a route for each cause and round, with its policies.

use super::Transport;
use super::endpoint::Endpoint;

pub(super) const CAUSES: [&str; 4] = ["switch", "split", "rollback", "remove"];
const WORK_POLICIES: [&str; 4] = ["finish", "finish within 1s", "cut", "cut over 1s"];
const SESSION_POLICIES: [&str; 4] = ["keep", "keep for 1s", "move", "finish"];
/// The classes that policies are for, in the order in which they are counted.
pub(super) const CLASSES: [&str; 4] = ["unary", "stream", "websocket", "grpc_stream"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A request without a response.
    Unary,
    /// A call of gRPC without a response.
    Call,
    Stream,
    WebSocket,
    GrpcStream,
}

/// A route, and how its release leaves it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    cause: usize,
    round: usize,
}

// === impl Work ===

impl Work {
    pub(super) const ALL: [Self; 5] = [
        Self::Unary,
        Self::Call,
        Self::Stream,
        Self::WebSocket,
        Self::GrpcStream,
    ];

    pub(super) fn segment(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Call => "call",
            Self::Stream => "stream",
            Self::WebSocket => "websocket",
            Self::GrpcStream => "grpc_stream",
        }
    }

    /// Place of its class.
    pub(super) fn class(self) -> usize {
        match self {
            Self::Unary | Self::Call => 0,
            Self::Stream => 1,
            Self::WebSocket => 2,
            Self::GrpcStream => 3,
        }
    }

    pub(super) fn is_grpc(self) -> bool {
        matches!(self, Self::Call | Self::GrpcStream)
    }

    /// Words of its client if it finishes.
    pub(super) fn finished(self) -> &'static str {
        match self {
            Self::Unary => "200 old",
            Self::Call => "1 0",
            Self::Stream => "1 2 whole",
            Self::WebSocket => "1 2 1000 whole",
            Self::GrpcStream => "1 2 0",
        }
    }

    /// Words of its client if it is cut.
    pub(super) fn cut(self, client: Transport, reason: &str) -> String {
        match (self, client) {
            (Self::Unary, _) => format!("503 {reason}"),
            (Self::Call, _) => "only 14".to_owned(),
            (Self::Stream, Transport::Http1) => format!("1 retry {reason} truncated"),
            (Self::Stream, Transport::Http2) => format!("1 retry {reason} INTERNAL_ERROR"),
            (Self::WebSocket, _) => "1 1012 whole".to_owned(),
            (Self::GrpcStream, _) => "1 14".to_owned(),
        }
    }
}

// === impl Case ===

impl Case {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..16).map(|number| Self {
            cause: number / 4,
            round: number % 4,
        })
    }

    pub(super) fn name(self) -> String {
        format!("{}-{}", CAUSES[self.cause], self.round)
    }

    pub(super) fn path(self, last: &str) -> String {
        format!("/{}/{last}", self.name())
    }

    pub(super) fn cause(self) -> &'static str {
        CAUSES[self.cause]
    }

    /// The release that leaves.
    pub(super) fn old(self) -> String {
        format!("{}-old", self.name())
    }

    fn policy(self, cause: usize, class: usize) -> usize {
        (cause + class + self.round) % 4
    }

    /// The policy of its own cause for a class.
    pub(super) fn own_policy(self, class: usize) -> &'static str {
        WORK_POLICIES[self.policy(self.cause, class)]
    }

    pub(super) fn finishes(self, class: usize) -> bool {
        self.own_policy(class) == "finish"
    }

    pub(super) fn session_policy(self) -> &'static str {
        SESSION_POLICIES[self.policy(self.cause, CLASSES.len())]
    }

    pub(super) fn is_removal(self) -> bool {
        self.cause() == "remove"
    }

    pub(super) fn reason(self) -> &'static str {
        if self.is_removal() {
            "release_removed"
        } else {
            "release_left"
        }
    }

    /// True if its session moves by a policy. A version that was removed is not there for its sessions.
    pub(super) fn moves(self) -> bool {
        !self.is_removal() && matches!(self.session_policy(), "move" | "keep for 1s")
    }

    /// Its releases and its route, as in the configuration file.
    pub(super) fn lines(self, protocol: &str, old: &Endpoint, new: &Endpoint) -> String {
        let release = |name: &str, endpoint: &Endpoint| {
            let (route, url) = (self.name(), endpoint.url());
            format!(
                "[releases.{route}-{name}]\nversion = \"1\"\nendpoints = [{url:?}]\nprotocol = {protocol:?}\n"
            )
        };
        let policies = CAUSES.iter().enumerate().map(|(cause, name)| {
            let classes = CLASSES.iter().enumerate().map(|(class, name)| {
                format!("{name} = {:?}", WORK_POLICIES[self.policy(cause, class)])
            });
            let session = SESSION_POLICIES[self.policy(cause, CLASSES.len())];
            let classes = classes.collect::<Vec<_>>().join(", ");
            format!("{name} = {{ {classes}, session = {session:?} }}")
        });
        let policies = policies.collect::<Vec<_>>().join(", ");
        let name = self.name();
        format!(
            "{}{}[[routes]]\nname = {name:?}\npath_prefix = \"/{name}/\"\nsplit = {{ {name}-old = 1, {name}-new = 0 }}\n\
             pins = [{{ header = \"x-session\" }}]\nin_flight = {{ {policies} }}\n",
            release("old", old),
            release("new", new)
        )
    }
}
