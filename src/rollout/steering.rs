//! Commands of operators to a rollout.

use std::time::Duration;

use super::{
    command::{Command, Refused},
    machine::{Action, Machine},
    phase::{By, Phase},
    place::{End, PauseReason, Target},
};

impl Machine {
    /// Gives the release up; a rollback also takes one back that has succeeded.
    fn take_back(&mut self, end: End) -> Result<Option<Action>, Refused> {
        match (self.phase, end) {
            (Phase::Planned, _) => {
                self.end(End::Aborted);
                Ok(None)
            }
            (Phase::Ended(End::Succeeded), End::RolledBack) => Ok(Some(self.go_back(end))),
            (Phase::Ended(_), _) => Err(Refused::Ended),
            (Phase::Returning(_), _) => Err(Refused::GoesBack),
            _ => Ok(Some(self.go_back(end))),
        }
    }

    pub(super) fn command(&mut self, command: Command) -> Result<Option<Action>, Refused> {
        match (self.phase, command) {
            (_, Command::Abort) => self.take_back(End::Aborted),
            (_, Command::Rollback) => self.take_back(End::RolledBack),
            (Phase::Ended(_), _) => Err(Refused::Ended),
            (Phase::Returning(_), _) => Err(Refused::GoesBack),
            (Phase::Planned | Phase::Moving { from: None, .. }, _) => Err(Refused::NotBegun),
            (Phase::Moving { from, .. }, Command::Promote) => {
                Ok(Some(self.go(Target::Whole, from, By::Operator)))
            }
            (Phase::Holding(place) | Phase::Paused { place, .. }, Command::Promote) => {
                Ok(Some(self.go(Target::Whole, Some(place), By::Operator)))
            }
            (
                Phase::Holding(place)
                | Phase::Moving {
                    from: Some(place), ..
                }
                // This pause would end by itself.
                | Phase::Paused {
                    place,
                    reason: PauseReason::NoTraffic,
                },
                Command::Pause,
            ) => {
                self.pause_for(place, PauseReason::Manual);
                Ok(None)
            }
            (Phase::Paused { reason, .. }, Command::Pause) => Err(Refused::Paused(reason)),
            (
                Phase::Paused {
                    reason: PauseReason::Approval,
                    ..
                },
                Command::Resume,
            ) => Err(Refused::NeedsApproval),
            (Phase::Paused { place, .. }, Command::Resume) => {
                self.waited = Duration::ZERO;
                self.phase = Phase::Holding(place);
                Ok(None)
            }
            (_, Command::Resume) => Err(Refused::NotPaused),
            (
                Phase::Paused {
                    place,
                    reason: PauseReason::Approval,
                },
                Command::Approve,
            )
            | (Phase::Holding(place) | Phase::Paused { place, .. }, Command::Skip) => {
                Ok(self.leave(place, By::Operator))
            }
            (_, Command::Approve) => Err(Refused::NoApproval),
            (Phase::Moving { target, from, .. }, Command::Skip) => {
                Ok(Some(self.go(target, from, By::Operator)))
            }
        }
    }
}
