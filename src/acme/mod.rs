//! Certificates from an authority over ACME (RFC 8555): ordered, checked, kept in a folder and renewed.
//!
//! Each domain has a certificate and a loop of its own, so that one that cannot be validated holds up no other.
//! Of the processes that share a folder, the one that holds its lock orders; the others serve what is there. So it is with
//! the nodes of a fleet of proxies, whose folder is in their store.
//!
//! - deciding: `renewal`, pure
//! - one order: `order`, with `account`, `binding`, `client`, `validation`, `problem`
//! - what is kept: `folder`, `leaf` with `der`
//! - over time: `keeper`, with `domain`, `turn` and `report`
//! - in a fleet of proxies: `following`, with `shared_folder` and `shared_secrets`; `shared_view` is pure

mod account;
mod binding;
mod client;
mod der;
mod domain;
mod folder;
mod following;
mod keeper;
mod leaf;
mod order;
mod problem;
mod renewal;
mod report;
mod shared_folder;
mod shared_secrets;
mod shared_view;
mod turn;
mod validation;

pub use binding::{BindingError, check_binding};
pub use keeper::{Keeper, KeeperError, Tell};
pub use report::CertificateOutcome;
pub use shared_folder::Sharing;
