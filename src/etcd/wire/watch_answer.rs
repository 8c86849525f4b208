//! Messages of a watch.

use serde::Deserialize;

use super::{
    number::number,
    pair::{KeyValue, PairText},
    refusal::Refusal,
    store::StoreState,
};

/// Change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// It was written.
    Put(KeyValue),
    /// It is gone: deleted, or its lease has ended.
    Deleted {
        /// The key.
        key: Vec<u8>,
        /// Revision that deleted it.
        mod_revision: u64,
    },
}

/// One message of a watch.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct WatchAnswer {
    pub(super) header: StoreState,
    pub(super) created: bool,
    pub(super) canceled: bool,
    #[serde(deserialize_with = "number")]
    pub(super) compact_revision: u64,
    pub(super) cancel_reason: String,
    pub(super) fragment: bool,
    events: Vec<EventText>,
}

#[derive(Deserialize)]
struct EventText {
    #[serde(rename = "type", default)]
    kind: KindText,
    kv: PairText,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum KindText {
    #[default]
    Put,
    Delete,
}

impl WatchEvent {
    /// Revision that made the change.
    pub const fn revision(&self) -> u64 {
        match self {
            Self::Put(pair) => pair.mod_revision,
            Self::Deleted { mod_revision, .. } => *mod_revision,
        }
    }

    /// Bytes of its key and its value.
    pub(super) const fn bytes(&self) -> usize {
        match self {
            Self::Put(pair) => pair.key.len() + pair.value.len(),
            Self::Deleted { key, .. } => key.len(),
        }
    }
}

impl From<EventText> for WatchEvent {
    fn from(text: EventText) -> Self {
        if text.kind == KindText::Put {
            return Self::Put(text.kv.into());
        }
        Self::Deleted {
            key: text.kv.key,
            mod_revision: text.kv.mod_revision,
        }
    }
}

impl WatchAnswer {
    pub(super) fn events(self) -> impl Iterator<Item = WatchEvent> {
        self.events.into_iter().map(WatchEvent::from)
    }

    pub(super) const fn is_silent(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn refusal(&self) -> Refusal {
        Refusal::of_reason(&self.cancel_reason)
    }
}
