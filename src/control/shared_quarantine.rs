//! The quarantine of a fleet: one document, in which the nodes join what each has put in quarantine or lifted.

use serde::{Deserialize, Serialize};

use super::{
    Controller, metrics, quarantine_marks::QuarantineMarks, shared::Node,
    shared_publish::MOST_OVERTAKEN, shared_report::Failure,
};
use crate::shared_table::{Document, Expected, Lifetime, Write, Written, packed, unpacked};

/// Folder of the document.
pub(super) const FOLDER: &str = "quarantine";
/// The document.
const DOCUMENT: &str = "quarantine/all";
/// Its format.
const FORMAT: u32 = 1;

/// Value of the document.
#[derive(Debug, Serialize, Deserialize)]
struct SharedQuarantine {
    format: u32,
    #[serde(flatten)]
    marks: QuarantineMarks,
}

impl Controller {
    /// Joins the quarantine of this node with that of the fleet. The version of the store at which it was read.
    pub(super) async fn share_quarantine(&self, node: &Node) -> Result<u64, Failure> {
        let mut version = 0;
        for _ in 0..MOST_OVERTAKEN {
            let read = node.store.documents(FOLDER).await?;
            version = read.version;
            let found = read.all.iter().find(|one| one.name == DOCUMENT);
            let Some(marks) = readable(found) else {
                break;
            };
            if self.quarantine.take_in(&marks) {
                metrics::set_quarantined(self.quarantine.all().len());
                // What is not on the disk is in the store.
                self.quarantine.save(self.settings.durable_within).await;
            }
            let joined = self.quarantine.marks();
            if joined == marks {
                break;
            }
            let write = Write {
                name: DOCUMENT.to_owned(),
                value: packed(&SharedQuarantine {
                    format: FORMAT,
                    marks: joined,
                }),
                lifetime: Lifetime::Kept,
                expected: found.map_or(Expected::Absent, |one| Expected::Version(one.version)),
            };
            if let Written::Done(written) = node.store.write(write).await? {
                return Ok(written);
            }
        }
        Ok(version)
    }
}

/// The marks of the document, none if there is none yet; of one that this version cannot read nothing is known, and it stays.
fn readable(document: Option<&Document>) -> Option<QuarantineMarks> {
    let Some(document) = document else {
        return Some(QuarantineMarks::default());
    };
    match unpacked::<SharedQuarantine>(&document.value) {
        Ok(found) if found.format == FORMAT => Some(found.marks),
        Ok(SharedQuarantine { format, .. }) => {
            tracing::warn!(
                format,
                "the quarantine of the fleet has an unknown format: this node keeps its own"
            );
            None
        }
        Err(error) => {
            tracing::warn!(%error, "the quarantine of the fleet cannot be read: this node keeps its own");
            None
        }
    }
}
