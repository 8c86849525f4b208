//! Documents by which the nodes of a fleet judge together: each names what it judges, and tells what it has counted for the
//! others.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::{figure_marks::ToldMarks, rollout_counts::Counts, rollout_limits::Limits};
use crate::model::{Digest, ReleaseName, RouteName, Version};

/// Folder with what each node judges.
pub(super) const JUDGED: &str = "judged";
/// Folder with what each node has counted for the others.
pub(super) const COUNTED: &str = "figures";
/// Largest number of entries in a document: a node judges no more with the figures of others, and counts no more for them.
pub(super) const MOST: usize = 200;
/// Largest number of marks of sessions in a document.
const MOST_MARKS: usize = 10_000;
/// Format of the documents.
const FORMAT: u32 = 1;

/// Two releases of a route that a node judges, as they are at one step: the others count for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FigureOrder {
    pub(super) id: u64,
    pub(super) route: RouteName,
    pub(super) canary: (ReleaseName, Version),
    pub(super) stable: (ReleaseName, Version),
    /// Digest of the route with its split: where it is another one, the share is.
    pub(super) split: Digest,
    /// Revision of the fleet with that split.
    pub(super) revision: u64,
    pub(super) limits: Limits,
}

/// Figures of one node for an order, since it began to count for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FigureSeries {
    pub(super) order: u64,
    /// Number of its own: a node that begins anew, after a restart or at another split, has another.
    pub(super) run: u64,
    /// Milliseconds since it began.
    pub(super) age_ms: u64,
    pub(super) counts: [Counts; 2],
    /// First bad events of sessions; none on a route without sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) marks: Option<ToldMarks>,
}

/// Error of a document that cannot be read.
#[derive(Debug, Error)]
pub(super) enum FigureError {
    #[error("it has format {0}, and this version reads format {FORMAT}")]
    Format(u32),
    #[error(transparent)]
    Damaged(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
struct Form<T> {
    format: u32,
    all: T,
}

/// Marks of sessions that each of so many series may have.
pub(super) fn marks_of_each(series: usize) -> usize {
    MOST_MARKS / series.max(1)
}

/// The form of a document; of more entries than it may have the first.
pub(super) fn encode<T: Serialize>(all: &[T]) -> Vec<u8> {
    let all = &all[..all.len().min(MOST)];
    let form = Form {
        format: FORMAT,
        all,
    };
    serde_json::to_vec(&form).unwrap_or_default()
}

/// The entries of a document.
///
/// # Errors
/// When this version does not know its form: nothing of it is taken then.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>, FigureError> {
    let form: Form<serde::de::IgnoredAny> = serde_json::from_slice(bytes)?;
    if form.format != FORMAT {
        return Err(FigureError::Format(form.format));
    }
    let mut form: Form<Vec<T>> = serde_json::from_slice(bytes)?;
    form.all.truncate(MOST);
    Ok(form.all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analysis::{Signal, Thresholds},
        control::figure_marks::{Mark, RecentMarks},
        shared_table::LARGEST_DOCUMENT,
    };

    pub(super) fn order(id: u64) -> FigureOrder {
        let release = |name: &str| (name.parse().unwrap(), Version::new("1").unwrap());
        FigureOrder {
            id,
            route: "chat".parse().unwrap(),
            canary: release("green"),
            stable: release("blue"),
            split: Digest::of(&"a split"),
            revision: 7,
            limits: Limits {
                slow: Thresholds::given(&[0.025, 0.1, 0.5, 600.0]),
                first_byte: None,
                client_errors: true,
            },
        }
    }

    #[test]
    fn what_is_written_is_read_and_unknown_fields_are_passed_over() {
        let orders = vec![order(u64::MAX), order(3)];
        let text = encode(&orders);
        assert_eq!(decode::<FigureOrder>(&text).unwrap(), orders);
        let text = String::from_utf8(text).unwrap();
        let later = text.replace(r#""revision":7"#, r#""revision":7,"of_later":[1]"#);
        assert_eq!(decode::<FigureOrder>(later.as_bytes()).unwrap(), orders);
        let format = text.replace(r#""format":1"#, r#""format":2"#);
        let error = decode::<FigureOrder>(format.as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it has format 2, and this version reads format 1"
        );
        assert!(decode::<FigureOrder>(b"{}").is_err());
    }

    #[test]
    fn the_largest_document_fits_the_store() {
        let counts = Counts {
            units: u64::MAX,
            failures: u64::MAX,
            broken: u64::MAX,
            disliked: u64::MAX,
            client_errors: u64::MAX,
            older: [u64::MAX; 4],
            late: [u64::MAX; 4],
        };
        let mut marks = RecentMarks::default();
        let all = (0..100_000).map(|unit| Mark::new(1, unit, Signal::ClientErrors, 3));
        marks.add(all.collect(), marks_of_each(MOST));
        let series = FigureSeries {
            order: u64::MAX,
            run: u64::MAX,
            age_ms: u64::MAX,
            counts: [counts; 2],
            marks: Some(marks.told()),
        };
        let document = encode(&vec![series; MOST + 1]);
        assert!(document.len() < LARGEST_DOCUMENT / 2, "{}", document.len());
        assert_eq!(decode::<FigureSeries>(&document).unwrap().len(), MOST);
    }
}
