//! One table for several proxies: what they write into a store that all of them follow, and the rules by which a node takes
//! part. No I/O, no clock; ARCHITECTURE.md, "A fleet of proxies", has the protocol.
//!
//! - `rules`: the rollbacks of a node that the fleet does not have yet, and what becomes of each of them
//! - `revision`: a revision of the fleet, and its form in the store
//! - `parts`: the changes that lead from one table to another, part by part
//! - `part_changes`: when each part was changed last, as far as a node knows
//! - `peers`: what reaches the other nodes without the store
//! - `store`: what the store has to be able to do; its answers in `answer`
//! - `documents`: small documents beside the table
//! - `election`: the node that leads

mod answer;
mod documents;
mod election;
mod part_changes;
mod parts;
mod peers;
mod revision;
mod rules;
mod store;

pub use self::{
    answer::{Answer, StoreError},
    documents::{
        Document, Documents, Expected, LARGEST_DOCUMENT, Lifetime, SharedDocuments, Write, Written,
    },
    election::{Election, Office, Standing},
    part_changes::PartChanges,
    parts::{apply_all, changes_between, changes_of, keep_parts, part_of},
    peers::FleetPeers,
    revision::{
        DecodeError, LARGEST_TABLE, SharedRevision, decode_table, encode_table, packed, unpacked,
    },
    rules::{ChangeKind, Followed, LocalRollbacks, Offered, PartKnown},
    store::{Appended, Head, NewRevision, Reports, SharedStore},
};
