//! Work in flight: its classes, and the causes for which a release leaves a route.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Class of a request in flight.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WorkClass {
    /// A request whose response is not a stream, or has not begun.
    Unary,
    /// A response that is a stream of events or of lines of JSON.
    Stream,
    /// A WebSocket, or another protocol after an upgrade.
    Websocket,
    /// A gRPC call whose response has begun.
    GrpcStream,
}

/// Cause for which a release leaves a route: the change that gave it weight 0, or took it out.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LeaveCause {
    /// All weight of the route went to another release: a switch or a promotion.
    Switch,
    /// Its weight became 0 by any other change of the split.
    Split,
    /// A rollback, or an abort.
    Rollback,
    /// The release, its version or the route is not in the table any more.
    Remove,
}

/// Cause for which work in flight is ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutCause {
    /// Its release left the route.
    Left(LeaveCause),
    /// The process ends.
    Shutdown,
}

impl WorkClass {
    /// All classes, in the order of [`WorkClass::index`].
    pub const ALL: [Self; 4] = [Self::Unary, Self::Stream, Self::Websocket, Self::GrpcStream];

    /// Name in the API, in metrics and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Stream => "stream",
            Self::Websocket => "websocket",
            Self::GrpcStream => "grpc_stream",
        }
    }

    /// Position in [`WorkClass::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl LeaveCause {
    /// All causes, in the order of [`LeaveCause::index`].
    pub const ALL: [Self; 4] = [Self::Switch, Self::Split, Self::Rollback, Self::Remove];

    /// Name in the API, in metrics and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Split => "split",
            Self::Rollback => "rollback",
            Self::Remove => "remove",
        }
    }

    /// Position in [`LeaveCause::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl CutCause {
    /// All causes, in the order of [`CutCause::index`].
    pub const ALL: [Self; 5] = [
        Self::Left(LeaveCause::Switch),
        Self::Left(LeaveCause::Split),
        Self::Left(LeaveCause::Rollback),
        Self::Left(LeaveCause::Remove),
        Self::Shutdown,
    ];

    /// Name in metrics and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left(cause) => cause.as_str(),
            Self::Shutdown => "shutdown",
        }
    }

    /// Position in [`CutCause::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Left(cause) => cause.index(),
            Self::Shutdown => LeaveCause::ALL.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_and_cause_has_its_place_and_the_name_of_its_json() {
        for (place, class) in WorkClass::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), place);
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
        }
        for (place, cause) in LeaveCause::ALL.into_iter().enumerate() {
            assert_eq!(cause.index(), place);
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
        }
        for (place, cause) in CutCause::ALL.into_iter().enumerate() {
            assert_eq!(cause.index(), place);
        }
    }
}
