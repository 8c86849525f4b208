//! The rehearsals of the judge by route, and the file of those that have ended.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    calibration_record::RouteRehearsals, calibration_window::CalibrationWindow,
    saved_file::SavedFile,
};
use crate::{history::BesideFiles, model::RouteName};

/// Name of the file in the folder of the history.
const FILE: &str = "calibration.json";
/// The rehearsals that run, and those that have ended.
#[derive(Debug)]
pub(super) struct Calibration {
    ended: Mutex<BTreeMap<RouteName, RouteRehearsals>>,
    running: Mutex<BTreeMap<RouteName, CalibrationWindow>>,
    file: SavedFile,
}

impl Calibration {
    /// The rehearsals that were saved in the folder of the history. One that ran at the end of the process is not among
    /// them.
    pub(super) fn open(files: &Arc<BesideFiles>, is_on: bool) -> Self {
        let file = SavedFile::new(files, FILE);
        let ended = if is_on { file.read() } else { BTreeMap::new() };
        Self {
            ended: Mutex::new(ended),
            running: Mutex::default(),
            file,
        }
    }

    /// Those that have ended.
    // Safe to ignore poisoning: what panics under these locks leaves the maps whole.
    pub(super) fn ended(&self) -> MutexGuard<'_, BTreeMap<RouteName, RouteRehearsals>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that run.
    pub(super) fn running(&self) -> MutexGuard<'_, BTreeMap<RouteName, CalibrationWindow>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves those that have ended; `false` if they are not known to be written.
    pub(super) async fn save(&self, within: Duration) -> bool {
        self.file.write(|| self.ended().clone(), within).await
    }
}
